import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { UpkeepDecision } from '../../../src/model/decision.ts'
import { targetOf } from '../../../src/model/decision.ts'
import type { Endings } from '../../../src/model/region.ts'
import { endingsAllowed, involuntaryTarget } from '../../../src/reconcile/blast-radius.ts'
import { trustedDecisions } from '../../../src/reconcile/trusted-decisions.ts'
import { upkeep } from '../../../src/reconcile/upkeep.ts'
import { someSnapshot } from '../../support/arbitraries.ts'
import { aHost, aRegion, aSnapshot, now } from '../../support/factories.ts'

const terminate = (hostId: string): UpkeepDecision => ({ kind: 'terminate', hostId, reason: 'silent' })
const gone = (hostId: string): UpkeepDecision => ({ kind: 'host-gone', hostId, reason: 'not listed' })
const orphan = (cloudId: string, isFromBefore = false): UpkeepDecision => ({
  ...{ kind: 'clear-orphan', cloudId, reason: 'no row' },
  ...(isFromBefore ? { isFromBefore } : {}),
})
const silentHosts = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    aHost({
      id: `h${String(index).padStart(4, '0')}`,
      status: 'UNRESPONSIVE',
      statusSince: now - 60_000,
      heardAt: now - 60_000,
    }),
  )
const targets = (decisions: readonly UpkeepDecision[]) => decisions.map(targetOf)

describe('the blast radius', () => {
  it('lets findings end a tenth of the hosts, whichever of sweep and upkeep made them', () => {
    const hosts = silentHosts(30)
    const snapshot = aSnapshot({ hosts })
    const sweep = [gone('h0007'), orphan('m1')]
    const { decisions, held, endings, freesAt } = trustedDecisions(
      snapshot,
      sweep,
      upkeep(snapshot).decisions,
    )
    expect(targets(decisions)).toEqual(['h0007', 'm1', 'h0000'])
    expect(held).toHaveLength(28)
    expect(endings).toEqual({ h0007: now, m1: now, h0000: now })
    expect(freesAt).toBe(now + 600_000)
  })

  it('is one host of a small region, and what the region’s row says', () => {
    const allowed = (count: number, blastRadius = aRegion().blastRadius) =>
      endingsAllowed({ hosts: silentHosts(count), region: aRegion({ blastRadius }) })
    expect([1, 9, 19, 20, 500].map((count) => allowed(count))).toEqual([1, 1, 1, 2, 50])
    expect(allowed(20, { percent: 50, at_least: 3, window: 60 })).toBe(10)
    expect(allowed(2, { percent: 50, at_least: 3, window: 60 })).toBe(3)
    expect(allowed(20, { percent: 0, at_least: 0, window: 60 })).toBe(0)
  })

  it('remembers what was ended, in the region’s row: another daemon has no budget of its own', () => {
    const hosts = silentHosts(2)
    const first = trustedDecisions(
      aSnapshot({ hosts }),
      [],
      hosts.map(({ id }) => terminate(id)),
    )
    expect(targets(first.decisions)).toEqual(['h0000'])
    const restarted = aSnapshot({
      ...{ hosts: hosts.slice(1), now: now + 599_999, listeningSince: now + 500_000 },
      region: { endings: first.endings! },
    })
    const second = trustedDecisions(restarted, [], [terminate('h0001')])
    expect(second).toMatchObject({ decisions: [], endings: undefined, freesAt: now + 600_000 })
    const later = { ...restarted, now: now + 600_000 }
    const third = trustedDecisions(later, [], [terminate('h0001')])
    expect(third).toMatchObject({ held: [], endings: { h0001: now + 600_000 } })
    expect(third.endings).not.toHaveProperty('h0000')
  })

  it('counts a host once, however often its end is decided', () => {
    const snapshot = aSnapshot({ hosts: silentHosts(2), region: { endings: { h0001: now - 1_000 } } })
    const { decisions, held } = trustedDecisions(snapshot, [], [terminate('h0000'), terminate('h0001')])
    expect(targets(decisions)).toEqual(['h0001'])
    expect(targets(held)).toEqual(['h0000'])
  })

  it('counts what a clock a little ahead has written, and not what a wrong one has', () => {
    const decided = (at: number) => {
      const snapshot = aSnapshot({ hosts: silentHosts(1), region: { endings: { other: at } } })
      return trustedDecisions(snapshot, [], [terminate('h0000')]).decisions.length
    }
    expect([decided(now + 30_000), decided(now + 86_400_000)]).toEqual([0, 1])
  })

  it('says what it holds back: in one line, and of the first twenty by name', () => {
    const hosts = silentHosts(50)
    const { said } = trustedDecisions(
      aSnapshot({ hosts }),
      [],
      hosts.map(({ id }) => terminate(id)),
    )
    expect(said[0]).toEqual({
      kind: 'refuse',
      target: 'test/one',
      reason:
        'blast radius: 45 endings are held back: findings may end 10 % of a region’s hosts, and at least 1, in 600 s. ' +
        'See npx muster sweep --region test/one --dry-run; with --confirm they go on',
    })
    expect(said).toHaveLength(21)
    expect(said[1]).toEqual({
      ...{ kind: 'report', hostId: 'h0005', reason: 'held back by the blast radius: silent' },
    })
  })

  it('lets all of it go on once a person has said so, and counts it all the same', () => {
    const hosts = silentHosts(20)
    const region = { sweepConfirmedUntil: now + 1 }
    const found = [orphan('m1', true), ...hosts.map(({ id }) => terminate(id))]
    const confirmed = trustedDecisions(aSnapshot({ hosts, region }), [], found)
    expect(confirmed).toMatchObject({ held: [], said: [] })
    expect(confirmed.decisions).toHaveLength(21)
    const after = aSnapshot({
      hosts: silentHosts(30),
      now: now + 2,
      region: { ...region, endings: confirmed.endings! },
    })
    expect(trustedDecisions(after, [], [orphan('m2')]).decisions).toEqual([])
  })

  it('keeps no more of a great confirmed end than it needs', () => {
    const hosts = silentHosts(5_000)
    const region = { sweepConfirmedUntil: now + 1 }
    const { endings } = trustedDecisions(
      aSnapshot({ hosts, region }),
      [],
      hosts.map(({ id }) => terminate(id)),
    )
    expect(Object.keys(endings!)).toHaveLength(1_000)
  })

  it('of a region that may lose nothing waits for a person, not for a time', () => {
    const region = { blastRadius: { percent: 0, at_least: 0, window: 600 } }
    const { held, freesAt } = trustedDecisions(
      aSnapshot({ hosts: silentHosts(1), region }),
      [],
      [terminate('h0000')],
    )
    expect({ held: targets(held), freesAt }).toEqual({ held: ['h0000'], freesAt: undefined })
  })

  it('holds back a machine that the database may have forgotten, whatever the budget; time does not free it', () => {
    const { held, said, freesAt } = trustedDecisions(aSnapshot(), [orphan('m1', true)], [])
    expect({ held: targets(held), freesAt }).toEqual({ held: ['m1'], freesAt: undefined })
    expect(said[0]!.reason).toContain('1 machines are older than all rows of hosts')
    expect(said[1]).toMatchObject({ kind: 'refuse', target: 'm1' })
  })
})

describe('what counts', () => {
  const snapshot = aSnapshot()
  const counts = (decision: UpkeepDecision, changes: Parameters<typeof aHost>[0]) =>
    involuntaryTarget(decision, aHost(changes), snapshot) !== undefined

  it('is the end of a machine or a host that nobody wished', () => {
    expect(counts(terminate('h1'), { status: 'UNRESPONSIVE' })).toBe(true)
    expect(counts(gone('h1'), { status: 'ACTIVE' })).toBe(true)
    expect(counts(gone('h1'), { status: 'DRAINING', agents: ['RUNNING'] })).toBe(true)
    expect(involuntaryTarget(orphan('m1'), undefined, snapshot)).toBe('m1')
  })

  it('is not what was drained, by whomever, nor what a person has fenced already', () => {
    expect(counts(terminate('h1'), { status: 'DRAINING' })).toBe(false)
    expect(counts(terminate('h1'), { status: 'DRAINING', agents: ['RUNNING'] })).toBe(false)
    expect(counts(terminate('h1'), { status: 'UNRESPONSIVE', statusBefore: 'DRAINING' })).toBe(false)
    expect(counts(gone('h1'), { status: 'DRAINING' })).toBe(false)
    expect(counts(terminate('h1'), { status: 'TERMINATING' })).toBe(false)
    expect(counts(terminate('h1'), { status: 'UNRESPONSIVE', interruptionAt: now })).toBe(false)
  })

  it('is neither what only suspects or says, nor a row without a machine, nor one that is proven gone', () => {
    expect(counts({ kind: 'suspect', hostId: 'h1', reason: '' }, {})).toBe(false)
    expect(counts({ kind: 'report', hostId: 'h1', reason: '' }, {})).toBe(false)
    expect(counts(gone('h1'), { status: 'LAUNCHING', cloudId: null })).toBe(false)
    expect(counts({ ...gone('h1'), isProven: true } as UpkeepDecision, {})).toBe(false)
    expect(counts({ ...orphan('m1'), isSurplus: true } as UpkeepDecision, {})).toBe(false)
  })

  it('is not a launch that failed, unless it is found so late that the row may be wrong', () => {
    const failed: UpkeepDecision = { ...terminate('h1'), launchFailed: 'never-connected' } as UpkeepDecision
    const since = (seconds: number) => ({
      status: 'PRE_CONNECTION' as const,
      statusSince: now - seconds * 1000,
    })
    expect(counts(failed, since(900))).toBe(false)
    expect(counts(failed, since(901))).toBe(true)
  })
})

describe('whatever is found, turn after turn', () => {
  const someSweep = fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: 13 }).map((at) => gone(`h${String(at).padStart(3, '0')}`)),
      fc.integer({ min: 0, max: 5 }).map((at) => orphan(`m${at}`, at === 5)),
    ),
    { maxLength: 6 },
  )
  const someTurns = fc.array(
    fc.record({
      snapshot: someSnapshot,
      sweep: someSweep,
      afterMs: fc.constantFrom(0, 1, 60_000, 300_000, 599_999, 600_000),
      isConfirmed: fc.constantFrom(false, false, false, false, true),
    }),
    { minLength: 1, maxLength: 8 },
  )

  it('ends no more in any window than the region may lose, holds nothing else back, and loses no finding', () => {
    let [ended, heldBack] = [0, 0]
    fc.assert(
      fc.property(someTurns, (turns) => {
        let endings: Endings = {}
        let at = now
        const ends = new Map<string, number>()
        for (const { snapshot: given, sweep, afterMs, isConfirmed } of turns) {
          at += afterMs
          const region = { ...given.region, endings, sweepConfirmedUntil: isConfirmed ? at + 1 : null }
          const snapshot = { ...given, region, now: at }
          const found = upkeep(snapshot).decisions
          const trusted = trustedDecisions(snapshot, sweep, found)
          const hosts = new Map(snapshot.hosts.map((host) => [host.id, host]))
          const counted = (decision: UpkeepDecision) =>
            involuntaryTarget(
              decision,
              'hostId' in decision ? hosts.get(decision.hostId) : undefined,
              snapshot,
            )

          const recent = () => [...ends].flatMap(([target, when]) => (when > at - 600_000 ? target : []))
          const before = new Set(recent())
          const now = trusted.decisions.flatMap((decision) => counted(decision) ?? [])
          for (const target of now) if (!before.has(target)) ends.set(target, at)
          if (!isConfirmed && now.some((target) => !before.has(target))) {
            expect(recent().length).toBeLessThanOrEqual(endingsAllowed(snapshot))
          }
          endings = trusted.endings ?? endings
          expect(Object.keys(endings)).toEqual(expect.arrayContaining(recent()))
          if (isConfirmed) expect(trusted.held).toEqual([])
          ended += now.length
          heldBack += trusted.held.length
          for (const decision of trusted.held) expect(counted(decision)).toBeDefined()
          // Nothing is lost.
          const spokenOf = new Set(
            [...trusted.decisions, ...trusted.held].map((one) =>
              'hostId' in one ? one.hostId : targetOf(one),
            ),
          )
          for (const one of found) expect(spokenOf).toContain('hostId' in one ? one.hostId : targetOf(one))
        }
      }),
      { numRuns: 250 },
    )
    expect(Math.min(ended, heldBack)).toBeGreaterThan(100)
  })
})
