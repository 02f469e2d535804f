import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { algorithms } from '../../../scaling-algorithms/index.ts'
import { countCapacity } from '../../../src/model/capacity.ts'
import { leavingHosts, standInsOf } from '../../../src/model/leaving.ts'
import type { HostView, RegionSnapshot } from '../../../src/model/snapshot.ts'
import { planTurn } from '../../../src/reconcile/plan-turn.ts'
import { replacements } from '../../../src/reconcile/replacements.ts'
import { someEvent, someSnapshot } from '../../support/arbitraries.ts'
import { deepFreeze } from '../../support/deep-freeze.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aHost, anEvent, aSnapshot, aTick, now } from '../../support/factories.ts'

const advised = (changes: Parameters<typeof aHost>[0] = {}) => aHost({ rebalanceAdvisedAt: now, ...changes })
const standIn = (changes: Parameters<typeof aHost>[0] = {}) => aHost({ id: 'h2', replaces: 'h1', ...changes })
const decide = (hosts: readonly HostView[], changes: Parameters<typeof aSnapshot>[0] = {}) =>
  replacements(aSnapshot({ hosts, ...changes }))
const turn = (
  hosts: readonly HostView[],
  region: NonNullable<Parameters<typeof aSnapshot>[0]>['region'] = {},
) =>
  planTurn({
    snapshot: aSnapshot({ hosts, region }),
    event: aTick,
    algorithm: algorithms.default,
    options: { idle_seconds: 0 },
  })
const replaced = { kind: 'replace', hostId: 'h1', reason: 'its provider advises to leave its machine' }

describe('a host that its provider advises to leave', () => {
  it('is replaced once, and serves on meanwhile', () => {
    expect(decide([advised()])).toEqual([replaced])
    expect(decide([advised({ agents: ['RUNNING'] })])).toEqual([replaced])
    for (const status of ['LAUNCHING', 'PRE_CONNECTION', 'UNRESPONSIVE'] as const) {
      expect(decide([advised(), standIn({ status })])).toEqual([])
    }
  })

  it('is replaced again when its replacement leaves before it', () => {
    for (const status of ['DRAINING', 'TERMINATING'] as const) {
      expect(decide([advised(), standIn({ status })])).toEqual([replaced])
    }
  })

  it('is fenced once the replacement is ACTIVE, and its sessions stay', () => {
    const { decisions, plan } = turn([advised({ agents: ['RUNNING', 'WAITING'] }), standIn()])
    expect(decisions[0]).toEqual({
      kind: 'drain',
      hostId: 'h1',
      reason: 'its provider advises to leave its machine, and its replacement h2 is ACTIVE',
      withSessions: true,
    })
    expect(plan!.host_updates).toEqual([
      { id: 'h1', place: 0, from: ['ACTIVE'], to: 'DRAINING', reason: decisions[0]!.reason },
    ])
  })

  it('waits for what holds back a launch, and says so', () => {
    const say = (why: string) => [
      { kind: 'refuse', target: 'h1', reason: `its provider advises to leave its machine, but ${why}` },
    ]
    expect(decide([advised()], { region: { enabled: false } })).toEqual(say('the region is not enabled'))
    const held = { launchBlockedUntil: now + 1, region: { launchErrorCode: 'quota-exceeded' } }
    expect(decide([advised()], held)).toEqual(say('launches are held back for now because quota-exceeded'))
    expect(decide([advised()], { region: { maxHosts: 1 } })).toEqual(
      say('max_hosts 1 leaves no room for another'),
    )
    expect(decide([advised()], { region: { maxHosts: 1, maxSurgeHosts: 1 } })).toEqual([replaced])
    const two = [advised(), advised({ id: 'h2' })]
    expect(decide(two, { region: { maxHosts: 2, maxSurgeHosts: 1 } })).toMatchObject([
      replaced,
      { kind: 'refuse', target: 'h2' },
    ])
  })

  it('needs no replacement when it gets no new users, or leaves already', () => {
    expect(decide([advised({ imageId: 'image-1' })])).toEqual([])
    for (const status of ['LAUNCHING', 'DRAINING', 'UNRESPONSIVE', 'TERMINATING'] as const) {
      expect(decide([advised({ status })])).toEqual([])
    }
    expect(decide([advised({ interruptionAt: now + 1 })])).toEqual([])
  })

  it('stays when it is protected, and that is said', () => {
    expectPlan(decide([advised({ protected: true })]))
      .reports('h1')
      .andNothingElse()
  })

  it('counts as one with its stand-in, and no algorithm takes one of them down for the other', () => {
    const region = { targetFreeAgents: 2 }
    const onItsWay = [advised(), standIn({ status: 'PRE_CONNECTION' })]
    expect(countCapacity(aSnapshot({ hosts: onItsWay }))).toMatchObject({ free: 2, coming: 0, serving: 1 })
    expectPlan(turn(onItsWay, region).decisions).andNothingElse()
    expectPlan(turn(onItsWay, { targetFreeAgents: 0 }).decisions).andNothingElse()
    expectPlan(turn(onItsWay, { targetFreeAgents: 4 }).decisions).launches(1)
    expectPlan(turn([advised(), standIn()], region).decisions)
      .drains('h1')
      .andNothingElse()
    const gone = [advised({ status: 'TERMINATING' }), standIn({ status: 'PRE_CONNECTION' })]
    expect(countCapacity(aSnapshot({ hosts: gone }))).toMatchObject({ coming: 2, serving: 1 })
  })

  it('becomes one LAUNCHING row that names it, and a launch', () => {
    const { plan } = turn([advised()], { targetFreeAgents: 2, maxHosts: 1, maxSurgeHosts: 5 })
    expect(plan).toMatchObject({
      decisions: [{ place: 0, kind: 'replace', target: 'h1' }],
      hosts: [{ place: 0, replaces: 'h1', image_id: 'image-2', capacity: 2 }],
      actions: [{ place: 0, kind: 'launch', target: null, params: { count: 1 } }],
      surge: 1,
    })
  })
})

describe('a host that is interrupted', () => {
  const interrupted = aHost({
    status: 'DRAINING',
    interruptionAt: now + 60_000,
    agents: ['RUNNING', 'RUNNING'],
  })

  it('is replaced in the very turn that sees it, though all of it was in use: its users will want others', () => {
    const { decisions, plan } = turn([interrupted, aHost({ id: 'h2' })], {
      targetFreeAgents: 2,
      maxHosts: 2,
      maxSurgeHosts: 1,
    })
    expectPlan(decisions)
      .launches(
        1,
        '4 agents are to be free (2 for users whose machine its provider ends), 2 are and 0 are coming: 1 host of 2 agents',
      )
      .andNothingElse()
    expect(plan!.surge).toBe(1)
    const { decisions: fixed } = planTurn({
      snapshot: aSnapshot({ hosts: [interrupted], region: { maxHosts: 1, maxSurgeHosts: 1 } }),
      event: anEvent(),
      algorithm: algorithms.fixed,
      options: { hosts: 1 },
    })
    expectPlan(fixed).launches(1).andNothingElse()
  })
})

describe('every turn', () => {
  const algorithmsTried = fc.constantFrom(
    { algorithm: algorithms.default, options: { idle_seconds: 0 } },
    { algorithm: algorithms.fixed, options: { hosts: 3 } },
  )

  it('replaces and fences whom it should, once, within the bounds, and leaves the pairs alone', () => {
    fc.assert(
      fc.property(someSnapshot, someEvent, algorithmsTried, (snapshot, event, policy) => {
        deepFreeze(snapshot)
        const { decisions, plan } = planTurn({ snapshot, event, ...policy })
        const hostOf = (id: string) => snapshot.hosts.find((host) => host.id === id)!
        const standIns = standInsOf(snapshot)
        const isWhole = (host: HostView) => host.status === 'ACTIVE' || host.status === 'PRE_CONNECTION'
        const replacedIds = decisions.flatMap((one) => (one.kind === 'replace' ? [one.hostId] : []))
        expect(new Set(replacedIds).size).toBe(replacedIds.length)
        for (const id of replacedIds) {
          expect(standIns.has(id) && standIns.get(id)!.status === 'ACTIVE').toBe(false)
          expect(hostOf(id)).toMatchObject({ protected: false, interruptionAt: null })
          expect(hostOf(id).rebalanceAdvisedAt).not.toBeNull()
          expect(isWhole(hostOf(id))).toBe(true)
        }
        for (const decision of decisions) {
          if (decision.kind !== 'drain') continue
          const host = hostOf(decision.hostId)
          // Hosts of other images leave with their sessions as well.
          if (decision.withSessions === true && host.imageId === snapshot.activeImage?.id) {
            expect(host.rebalanceAdvisedAt).not.toBeNull()
            expect(standIns.get(host.id)?.status).toBe('ACTIVE')
          } else if (decision.withSessions !== true) {
            // The same turn may end what a user did not come for.
            const ended = decisions.filter((one) => one.kind === 'end-agent' && one.hostId === host.id)
            expect(host.liveAgents).toBe(ended.length)
          }
        }
        const after = carriedOut(snapshot, plan)
        if ((plan?.hosts.length ?? 0) > 0) {
          const surge = Math.min(snapshot.region.maxSurgeHosts, plan?.surge ?? 0)
          expect(plan?.surge ?? 0).toBeLessThanOrEqual(leavingHosts(after))
          expect(after.hosts.length).toBeLessThanOrEqual(snapshot.region.maxHosts + surge)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('decides no replacement that it has decided already', () => {
    fc.assert(
      fc.property(someSnapshot, algorithmsTried, (snapshot, policy) => {
        const first = planTurn({ snapshot, event: aTick, ...policy })
        const again = planTurn({ snapshot: carriedOut(snapshot, first.plan), event: aTick, ...policy })
        const before = new Set(first.decisions.flatMap((one) => (one.kind === 'replace' ? [one.hostId] : [])))
        const twice = again.decisions.filter((one) => one.kind === 'replace' && before.has(one.hostId))
        expect(twice).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })
})

/** The rows as commit_turn leaves them, as far as hosts go. */
function carriedOut(snapshot: RegionSnapshot, plan: ReturnType<typeof planTurn>['plan']): RegionSnapshot {
  const changes = new Map(plan?.host_updates.map((update) => [update.id, update.to]))
  const changed = snapshot.hosts.map((host) => {
    const status = changes.get(host.id)
    return status === undefined
      ? host
      : { ...host, status, statusBefore: null, statusSince: now, heardAt: now }
  })
  const launched = (plan?.hosts ?? []).map((row) =>
    aHost({
      id: row.id,
      status: 'LAUNCHING',
      capacity: row.capacity,
      replaces: row.replaces ?? null,
      statusSince: now,
    }),
  )
  return { ...snapshot, hosts: [...changed, ...launched].sort((one, other) => (one.id < other.id ? -1 : 1)) }
}
