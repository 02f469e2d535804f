import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HostView, RegionSnapshot } from '../../../src/model/snapshot.ts'
import { upkeep } from '../../../src/reconcile/upkeep.ts'
import { someSnapshot } from '../../support/arbitraries.ts'
import { deepFreeze } from '../../support/deep-freeze.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aHost, aRegion, aSnapshot, now } from '../../support/factories.ts'

const ago = (seconds: number) => now - seconds * 1000
const inspect = (host: HostView, forceDrain = false) =>
  upkeep(
    aSnapshot({ hosts: [host], region: { deadlines: { ...aRegion().deadlines, force_drain: forceDrain } } }),
  )
const decide = (host: HostView, forceDrain = false) => inspect(host, forceDrain).decisions

describe('a host that is on its way', () => {
  it('is reported while LAUNCHING past its deadline, no more', () => {
    expectPlan(decide(aHost({ status: 'LAUNCHING', statusSince: ago(299) }))).andNothingElse()
    expectPlan(decide(aHost({ status: 'LAUNCHING', statusSince: ago(300) })))
      .reports('h1')
      .andNothingElse()
  })

  it('is terminated when it never connected, and the next launch held back', () => {
    expectPlan(decide(aHost({ status: 'PRE_CONNECTION', statusSince: ago(299) }))).andNothingElse()
    expect(decide(aHost({ status: 'PRE_CONNECTION', statusSince: ago(300) }))).toEqual([
      {
        kind: 'terminate',
        hostId: 'h1',
        reason: 'its manager did not connect within 300 s',
        launchFailed: 'never-connected',
      },
    ])
  })

  it('is not blamed for the time in which nobody could hear it', () => {
    const host = aHost({ status: 'PRE_CONNECTION', statusSince: ago(4000), heardAt: ago(299) })
    expectPlan(decide(host)).andNothingElse()
  })

  it('has no silence before it first connected', () => {
    const host = aHost({ status: 'PRE_CONNECTION', statusSince: ago(200), heardAt: ago(200) })
    expectPlan(decide(host)).andNothingElse()
    expectPlan(decide({ ...host, heartbeatAt: ago(200) }))
      .suspects('h1')
      .andNothingElse()
  })

  it('is only reported when it is protected', () => {
    const host = aHost({ status: 'PRE_CONNECTION', statusSince: ago(300), protected: true })
    expectPlan(decide(host)).reports('h1').andNothingElse()
  })
})

describe('a silent host', () => {
  it.each(['ACTIVE', 'DRAINING'] as const)('is suspected when it is %s', (status) => {
    const agents = ['RUNNING'] as const
    expectPlan(decide(aHost({ status, agents, heardAt: ago(14.999) }))).andNothingElse()
    expectPlan(decide(aHost({ status, agents, heardAt: ago(15) })))
      .suspects('h1')
      .andNothingElse()
  })

  it('is suspected though it is protected: that takes nothing down', () => {
    expectPlan(decide(aHost({ protected: true, heardAt: ago(15) })))
      .suspects('h1')
      .andNothingElse()
  })

  it('is terminated another heartbeat deadline later when it has no session', () => {
    const host = aHost({ status: 'UNRESPONSIVE', heardAt: ago(30), agents: ['WAITING'] })
    expectPlan(decide({ ...host, statusSince: ago(14.999) })).andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(15) }))
      .terminates('h1')
      .andNothingElse()
  })

  it('is given its time anew after the daemon was away', () => {
    const host = aHost({ status: 'UNRESPONSIVE', statusSince: ago(900), heardAt: ago(14) })
    expectPlan(decide(host)).andNothingElse()
  })

  it('is reported when its sessions outlast the drain deadline, and ended only by force_drain', () => {
    const host = aHost({ status: 'UNRESPONSIVE', heardAt: ago(4000), agents: ['RUNNING'] })
    expectPlan(decide({ ...host, statusSince: ago(3599) }, true)).andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(3600) }))
      .reports('h1')
      .andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(3600) }, true))
      .terminates('h1')
      .andNothingElse()
  })

  it('is reported when it is protected, unless it was being drained', () => {
    const host = aHost({ status: 'UNRESPONSIVE', statusSince: ago(15), heardAt: ago(30), protected: true })
    expectPlan(decide(host)).reports('h1').andNothingElse()
    expectPlan(decide({ ...host, statusBefore: 'DRAINING' }))
      .terminates('h1')
      .andNothingElse()
  })
})

describe('a DRAINING host', () => {
  it('is terminated once nothing is left on it, with the reason of its drain', () => {
    expect(decide(aHost({ status: 'DRAINING', reason: 'spare' }))).toEqual([
      { kind: 'terminate', hostId: 'h1', reason: 'drained (spare); no session is left' },
    ])
    expectPlan(decide(aHost({ status: 'DRAINING', heartbeatAt: null })))
      .terminates('h1')
      .andNothingElse()
  })

  it('is given 10 s to stop its idle agents', () => {
    const agents = (seconds: number) => [{ status: 'DYING', statusSince: ago(seconds) } as const]
    expectPlan(decide(aHost({ status: 'DRAINING', agents: agents(9.999) }))).andNothingElse()
    expectPlan(decide(aHost({ status: 'DRAINING', agents: agents(10) })))
      .terminates('h1')
      .andNothingElse()
  })

  it('is left alone while the mirror is behind its fence', () => {
    const agents = [{ status: 'WAITING', statusSince: ago(100) } as const]
    expectPlan(decide(aHost({ status: 'DRAINING', agents }))).andNothingElse()
  })

  it('is left alone with a session on it, then reported, and ended only by force_drain', () => {
    const host = aHost({ status: 'DRAINING', agents: ['RUNNING', 'DYING'] })
    expectPlan(decide({ ...host, statusSince: ago(3599) }, true)).andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(3600) }))
      .reports('h1')
      .andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(3600) }, true))
      .terminates('h1')
      .andNothingElse()
  })

  it('waits for its launch while it has no machine', () => {
    const host = aHost({ status: 'DRAINING', cloudId: null, heartbeatAt: null })
    expectPlan(decide({ ...host, statusSince: ago(299) })).andNothingElse()
    expectPlan(decide({ ...host, statusSince: ago(300) }))
      .reports('h1')
      .andNothingElse()
    expectPlan(decide({ ...host, launchId: null }))
      .terminates('h1')
      .andNothingElse()
  })
})

describe('a host whose provider ends it', () => {
  const statuses = ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING', 'UNRESPONSIVE'] as const

  it.each(statuses)(
    'is ended at the time of the notice when it is %s, busy and protected or not',
    (status) => {
      const agents = status === 'LAUNCHING' ? [] : (['RUNNING', 'DYING'] as const)
      for (const isProtected of [true, false]) {
        const host = aHost({ status, agents, protected: isProtected, statusSince: now, heardAt: now })
        expect(inspect({ ...host, interruptionAt: now + 1 })).toEqual({
          decisions: [],
          nextDeadline: now + 1,
        })
        expect(decide({ ...host, interruptionAt: now })).toEqual([
          {
            kind: 'terminate',
            hostId: 'h1',
            reason: 'its provider ends the machine now, as it gave notice',
            involuntary: true,
          },
        ])
      }
    },
  )

  it('is ended before, as any other, once its last session has left', () => {
    const host = aHost({ status: 'DRAINING', reason: 'notice', interruptionAt: now + 60_000 })
    expect(decide(host)).toEqual([
      { kind: 'terminate', hostId: 'h1', reason: 'drained (notice); no session is left' },
    ])
  })

  it('is not ended twice', () => {
    expectPlan(decide(aHost({ status: 'TERMINATING', interruptionAt: now - 1 }))).andNothingElse()
  })
})

describe('an agent whose user does not come', () => {
  it.each(['ALLOCATED', 'CONNECTING'] as const)('is ended when it was %s for too long', (status) => {
    const agents = (seconds: number) => ['RUNNING', { status, statusSince: ago(seconds) }] as const
    expectPlan(decide(aHost({ agents: agents(59.999) }))).andNothingElse()
    expectPlan(decide(aHost({ agents: agents(60) })))
      .endsAgents('h1-a2')
      .andNothingElse()
    expectPlan(decide(aHost({ agents: agents(60), status: 'UNRESPONSIVE' }))).endsAgents('h1-a2')
    expectPlan(decide(aHost({ agents: agents(60), status: 'TERMINATING' }))).andNothingElse()
  })

  it('is given its time anew after the daemon was deaf: the user may have come, and nobody was told', () => {
    const host = aHost({ agents: [{ status: 'CONNECTING', statusSince: ago(3_600) }] })
    expectPlan(upkeep(aSnapshot({ hosts: [host], listeningSince: ago(59) })).decisions).andNothingElse()
    expectPlan(upkeep(aSnapshot({ hosts: [host], listeningSince: ago(60) })).decisions).endsAgents('h1-a1')
  })

  it('leaves a RUNNING agent alone, however old', () => {
    const agents = [{ status: 'RUNNING', statusSince: ago(100_000) } as const]
    expectPlan(decide(aHost({ agents }))).andNothingElse()
  })
})

describe('the next deadline', () => {
  it('is the earliest of what can fall due', () => {
    const hosts = [
      aHost({ id: 'h1', heardAt: ago(5) }),
      aHost({ id: 'h2', heardAt: ago(1), agents: [{ status: 'ALLOCATED', statusSince: ago(52) }] }),
      aHost({ id: 'h3', status: 'PRE_CONNECTION', statusSince: ago(3) }),
    ]
    expect(upkeep(aSnapshot({ hosts })).nextDeadline).toBe(now + 8_000)
    expect(upkeep(aSnapshot({ hosts, launchBlockedUntil: now + 1 })).nextDeadline).toBe(now + 1)
    expect(upkeep(aSnapshot({ hosts, launchBlockedUntil: now })).nextDeadline).toBe(now + 8_000)
  })

  it('is none where nothing waits', () => {
    expect(upkeep(aSnapshot({ hosts: [aHost({ status: 'TERMINATING' })] })).nextDeadline).toBeUndefined()
    expect(inspect(aHost({ status: 'LAUNCHING', statusSince: ago(900) })).nextDeadline).toBeUndefined()
  })

  const withoutBlock = someSnapshot.map((snapshot): RegionSnapshot => ({
    ...snapshot,
    launchBlockedUntil: undefined,
  }))
  const decisionsAt = (snapshot: RegionSnapshot, at: number) => upkeep({ ...snapshot, now: at }).decisions

  it('is just when the same rows decide something new, and no moment before it', () => {
    fc.assert(
      fc.property(withoutBlock, fc.double({ min: 0, max: 1, noNaN: true }), (snapshot, share) => {
        const { decisions, nextDeadline } = upkeep(snapshot)
        const last = nextDeadline === undefined ? now + 10_000_000 : nextDeadline - 1
        expect(decisionsAt(snapshot, last)).toEqual(decisions)
        expect(decisionsAt(snapshot, Math.floor(now + (last - now) * share))).toEqual(decisions)
        if (nextDeadline === undefined) return
        expect(nextDeadline).toBeGreaterThan(now)
        expect(decisionsAt(snapshot, nextDeadline)).not.toEqual(decisions)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('upkeep', () => {
  it('never acts on a healthy host', () => {
    const healthy = fc.record({
      status: fc.constantFrom('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING', 'TERMINATING'),
      age: fc.integer({ min: 0, max: 14_999 }),
      live: fc.integer({ min: 1, max: 3 }),
    } as const)
    fc.assert(
      fc.property(fc.array(healthy), (rows) => {
        const hosts = rows.map(({ status, age, live }, index) => {
          const talks = status === 'ACTIVE' || status === 'DRAINING'
          return aHost({
            id: `h${index}`,
            status,
            statusSince: now - age,
            heardAt: now - age,
            agents: talks ? Array.from({ length: live }, () => 'RUNNING' as const) : [],
          })
        })
        expect(upkeep(aSnapshot({ hosts })).decisions).toEqual([])
      }),
    )
  })

  it('decides each host at most once, ends a session only by force or by its provider, and writes nothing to the snapshot', () => {
    fc.assert(
      fc.property(someSnapshot, (snapshot) => {
        const { decisions } = upkeep(deepFreeze(snapshot))
        const about = decisions.flatMap((decision) =>
          decision.kind === 'end-agent' || !('hostId' in decision) ? [] : [decision.hostId],
        )
        expect(new Set(about).size).toBe(about.length)
        for (const decision of decisions) {
          if (decision.kind !== 'terminate') continue
          const host = snapshot.hosts.find(({ id }) => id === decision.hostId)!
          const isTaken = host.interruptionAt !== null && host.interruptionAt <= now
          expect(decision.involuntary === true).toBe(isTaken)
          if (isTaken) continue
          expect(host.liveAgents === 0 || snapshot.region.deadlines.force_drain).toBe(true)
          expect(host.protected && host.status !== 'DRAINING' && host.statusBefore !== 'DRAINING').toBe(false)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
