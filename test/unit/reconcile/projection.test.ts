import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { project } from '../../../src/reconcile/projection.ts'
import { upkeep } from '../../../src/reconcile/upkeep.ts'
import { someSnapshot } from '../../support/arbitraries.ts'
import { deepFreeze } from '../../support/deep-freeze.ts'
import { aHost, aSnapshot, now } from '../../support/factories.ts'

describe('the projection of a snapshot', () => {
  const snapshot = deepFreeze(
    aSnapshot({ hosts: [aHost({ id: 'h1', agents: ['WAITING', 'ALLOCATED'] }), aHost({ id: 'h2' })] }),
  )

  it('is the same object when nothing changes', () => {
    expect(project(snapshot, [])).toBe(snapshot)
    expect(project(snapshot, [{ kind: 'refuse', target: 'h1', reason: 'no' }])).toBe(snapshot)
    expect(project(snapshot, [{ kind: 'report', hostId: 'h1', reason: 'late' }])).toBe(snapshot)
    expect(project(snapshot, [{ kind: 'clear-orphan', cloudId: 'm', reason: 'orphan' }])).toBe(snapshot)
  })

  it.each([
    ['drain', 'DRAINING'],
    ['terminate', 'TERMINATING'],
    ['host-gone', 'TERMINATING'],
  ] as const)('lets a host that is decided to %s be %s, its free agents withdrawn', (kind, status) => {
    const [host, other] = project(snapshot, [{ kind, hostId: 'h1', reason: 'why' }]).hosts
    expect(host).toMatchObject({ status, statusSince: now, waitingAgents: 0, liveAgents: 1 })
    expect(host!.agents.map((agent) => agent.status)).toEqual(['DYING', 'ALLOCATED'])
    expect(other).toBe(snapshot.hosts[1])
  })

  it('lets a suspected host be UNRESPONSIVE, its agents as they were', () => {
    const [host] = project(snapshot, [{ kind: 'suspect', hostId: 'h1', reason: 'silent' }]).hosts
    expect(host).toMatchObject({
      status: 'UNRESPONSIVE',
      statusBefore: 'ACTIVE',
      waitingAgents: 1,
      liveAgents: 1,
    })
  })

  it('ends an agent', () => {
    const decision = { kind: 'end-agent', agentId: 'h1-a2', hostId: 'h1', reason: 'nobody came' } as const
    const [host] = project(snapshot, [decision]).hosts
    expect(host).toMatchObject({ status: 'ACTIVE', waitingAgents: 1, liveAgents: 0 })
  })

  it('holds launches back as the database will, doubling from 1 s to 5 min', () => {
    const failed = {
      kind: 'terminate',
      hostId: 'h1',
      reason: 'late',
      launchFailed: 'never-connected',
    } as const
    const blockAfter = (launchFailures: number) =>
      project(aSnapshot({ hosts: snapshot.hosts, region: { launchFailures } }), [failed])
    expect(blockAfter(0)).toMatchObject({
      launchBlockedUntil: now + 1_000,
      region: { launchErrorCode: 'never-connected', launchError: 'late' },
    })
    expect(blockAfter(3).launchBlockedUntil).toBe(now + 8_000)
    expect(blockAfter(40).launchBlockedUntil).toBe(now + 300_000)
  })

  it('leaves upkeep nothing new to decide about the hosts it has ended', () => {
    fc.assert(
      fc.property(someSnapshot, (any) => {
        const { decisions } = upkeep(any)
        const ended = decisions.flatMap((decision) =>
          decision.kind === 'terminate' ? [decision.hostId] : [],
        )
        const again = upkeep(project(deepFreeze(any), decisions)).decisions
        expect(again.some((decision) => 'hostId' in decision && ended.includes(decision.hostId))).toBe(false)
        expect(again.some((decision) => decision.kind === 'suspect' || decision.kind === 'end-agent')).toBe(
          false,
        )
      }),
    )
  })
})
