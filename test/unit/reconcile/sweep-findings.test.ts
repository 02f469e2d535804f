import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { CloudHost } from '../../../src/model/host-handler.ts'
import type { SweepHost, SweepRows } from '../../../src/model/sweep.ts'
import type { SweepInput, SweepMemory, SweepResult } from '../../../src/reconcile/sweep-findings.ts'
import { noMemory, sweepFindings } from '../../../src/reconcile/sweep-findings.ts'
import { targetOf } from '../../../src/model/decision.ts'
import { aHost, now } from '../../support/factories.ts'

const [graceMs, missingMs] = [600_000, 300_000]
const anHourAgo = now - 3_600_000
const launchId = 'test/one:1.0'
const aMachine = (cloudId: string, startedAt = anHourAgo): CloudHost => ({
  ...{ cloudId, launchId, startedAt },
  fleetId: 'fleet-1',
})
const unbound = (id: string, changes: Partial<SweepHost> = {}) =>
  aHost({ id, status: 'LAUNCHING', cloudId: null, launchId, ...changes })
const launching = { id: launchId, kind: 'launch', target: null } as const

type World = Partial<Omit<SweepInput, 'memory' | 'look' | 'rows'>> & Partial<SweepRows>

/** One look, `afterMs` past `now`, which takes no time. */
function look(world: World, memory: SweepMemory = noMemory, afterMs = 0): SweepResult {
  const { openActions = [], hosts = [], named = [], launches = [], oldestRowAt = anHourAgo, ...rest } = world
  return sweepFindings({
    look: { startedAt: now + afterMs, endedAt: now + afterMs },
    ...{ graceMs, missingMs, machines: [], listsMachines: true, isConnected: () => false, memory },
    rows: { openActions, hosts, named, launches, oldestRowAt },
    ...rest,
  })
}
/** Looks two minutes apart, each seeing its world; what the last one is certain of. */
function lookOften(...worlds: readonly World[]): SweepResult {
  let result = look({})
  for (const [index, world] of worlds.entries()) result = look(world, result.memory, index * 120_000)
  return result
}
const times = (count: number, world: World) => Array.from({ length: count }, () => world)
const nothing = { adoptions: [], decisions: [], waiting: [], contradictions: [] }

describe('the sweep', () => {
  it('finds nothing where list and rows agree', () => {
    const hosts = [aHost(), aHost({ id: 'h2', status: 'DRAINING' })]
    const machines = [aMachine('machine-h1'), aMachine('machine-h2')]
    expect(lookOften(...times(9, { hosts, machines }))).toEqual({ ...nothing, memory: new Map() })
  })

  it('leaves everything of a launch alone that is still unanswered', () => {
    const hosts = [unbound('h1'), aHost({ id: 'h2' })]
    const world = { hosts, machines: [aMachine('m1'), aMachine('m2')], openActions: [launching] }
    expect(lookOften(...times(9, world))).toEqual({ ...nothing, memory: new Map() })
  })

  it('says what it waits for, and until when', () => {
    const { decisions, waiting } = lookOften({ machines: [aMachine('m1')], hosts: [aHost()] })
    expect(decisions).toEqual([])
    expect(waiting).toMatchObject([
      { decision: { kind: 'clear-orphan', cloudId: 'm1' }, dueAt: now + graceMs },
      { decision: { kind: 'host-gone', hostId: 'h1' }, dueAt: now + missingMs },
    ])
  })

  it('counts from the end of the first look to the start of the last: a slow list makes nothing older', () => {
    const hosts = [aHost()]
    const input = { ...{ hosts }, look: { startedAt: now, endedAt: now + 100_000 } }
    const { memory } = look(input)
    expect(look({ hosts }, memory, missingMs).decisions).toEqual([])
    expect(look({ hosts }, memory, missingMs + 100_000).decisions).toHaveLength(1)
  })
})

describe('a machine without a row', () => {
  it('is adopted at once where its launch has an unbound row, in order of id', () => {
    const hosts = [unbound('h1'), aHost({ id: 'h2' }), unbound('h3', { status: 'DRAINING' })]
    const machines = [aMachine('machine-h2'), aMachine('m9', now), aMachine('m1', now)]
    expect(look({ hosts, machines })).toMatchObject({
      ...{ ...nothing, adoptions: [{ launchId, cloudIds: ['m1', 'm9'] }] },
    })
  })

  it('is an orphan beyond the rows of its launch', () => {
    const world = { hosts: [unbound('h1')], machines: [aMachine('m2'), aMachine('m1')] }
    const found = lookOften(...times(6, world))
    expect(found.adoptions).toEqual([{ launchId, cloudIds: ['m1'] }])
    expect(found.decisions).toMatchObject([{ kind: 'clear-orphan', cloudId: 'm2' }])
  })

  it('is cleared once every look of the grace time saw it so', () => {
    const world = { machines: [aMachine('m1')] }
    expect(lookOften(...times(5, world)).decisions).toEqual([])
    expect(lookOften(...times(6, world)).decisions).toEqual([
      {
        kind: 'clear-orphan',
        cloudId: 'm1',
        reason: 'the provider has this machine of launch test/one:1.0, and no row stands for it',
      },
    ])
    expect(lookOften(...times(5, world), {}, world).decisions).toEqual([])
  })

  it('is listed twice by a list that changed between two pages, and is one', () => {
    const world = { hosts: [unbound('h1'), unbound('h2')], machines: [aMachine('m1'), aMachine('m1')] }
    expect(look(world).adoptions).toEqual([{ launchId, cloudIds: ['m1'] }])
  })

  it('is not cleared again while that is under way', () => {
    const openActions = [{ id: 'test/one:5.0', kind: 'clear-orphan', target: 'm1' }] as const
    expect(lookOften(...times(9, { machines: [aMachine('m1')], openActions })).decisions).toEqual([])
  })

  it('whose row has ended is an orphan, and never takes another row of its launch', () => {
    const named = [{ id: 'h1', cloudId: 'm1', status: 'TERMINATED' }] as const
    const world = { hosts: [unbound('h2')], machines: [aMachine('m1')], named }
    const { adoptions, decisions } = lookOften(...times(6, world))
    expect(adoptions).toEqual([])
    expect(decisions).toMatchObject(
      [
        { kind: 'host-gone', hostId: 'h2' },
        {
          kind: 'clear-orphan',
          cloudId: 'm1',
          reason: expect.stringContaining('host h1 has ended') as string,
        },
      ].reverse(),
    )
  })

  it('is nobody’s orphan where a row of another region stands for it', () => {
    const named = [{ id: 'h1', cloudId: 'm1', status: 'ACTIVE' }] as const
    expect(lookOften(...times(9, { machines: [aMachine('m1')], named }))).toMatchObject(nothing)
  })

  it('that its launch, which is known, never had a row for is a surplus, however old', () => {
    const world = { machines: [aMachine('m1')], launches: [launchId], oldestRowAt: now }
    const [found] = lookOften(...times(6, world)).decisions
    expect(found).toMatchObject({ kind: 'clear-orphan', isSurplus: true })
    expect(found).not.toHaveProperty('isFromBefore')
    const named = [{ id: 'h1', cloudId: 'm1', status: 'TERMINATED' }] as const
    expect(lookOften(...times(6, { ...world, named })).decisions[0]).not.toHaveProperty('isSurplus')
  })

  it('that is older than every row, or finds no row at all, may have lost its own', () => {
    const cleared = (world: World) =>
      lookOften(...times(6, { machines: [aMachine('m1')], ...world })).decisions
    expect(cleared({ oldestRowAt: anHourAgo + 60_001 })).toMatchObject([{ isFromBefore: true }])
    expect(cleared({ oldestRowAt: anHourAgo + 60_000 })[0]).not.toHaveProperty('isFromBefore')
    const rows = { openActions: [], hosts: [], named: [], launches: [], oldestRowAt: undefined }
    const first = sweepFindings({ ...bare, rows })
    expect(sweepFindings({ ...bare, rows, ...later(graceMs), memory: first.memory }).decisions).toMatchObject(
      [{ kind: 'clear-orphan', isFromBefore: true }],
    )
  })
})

const bare = {
  look: { startedAt: now, endedAt: now },
  ...{ graceMs, missingMs, listsMachines: true, isConnected: () => false, memory: noMemory },
  machines: [aMachine('m1', now)],
}
const later = (ms: number) => ({ look: { startedAt: now + ms, endedAt: now + ms } })

describe('a row without a machine', () => {
  const gone = { kind: 'host-gone', hostId: 'h1', reason: 'the provider no longer has its machine' }

  it('is none where machines are not listed', () => {
    expect(lookOften(...times(9, { hosts: [aHost()], listsMachines: false }))).toMatchObject(nothing)
  })

  it('is gone once two looks five minutes apart, and all between, have missed it', () => {
    const world = { hosts: [aHost()] }
    expect(lookOften(...times(3, world)).decisions).toEqual([])
    expect(lookOften(...times(4, world)).decisions).toEqual([gone])
    expect(
      lookOften(...times(3, world), { ...world, machines: [aMachine('machine-h1')] }, world).decisions,
    ).toEqual([])
  })

  it('is never gone while its manager is connected: the list is wrong, and proves nothing of others', () => {
    const hosts = [aHost(), aHost({ id: 'h2' }), aHost({ id: 'h3' })]
    const isConnected = (id: string) => id !== 'h1'
    const found = lookOften(...times(9, { hosts, isConnected, machines: [aMachine('machine-h3')] }))
    expect(found).toMatchObject({ decisions: [gone], contradictions: ['h2'] })
    expect(found.decisions[0]).not.toHaveProperty('isProven')
  })

  it('is proven gone by a list that has the machine of every connected manager', () => {
    const hosts = [aHost(), aHost({ id: 'h2' }), aHost({ id: 'new', createdAt: now })]
    const isConnected = (id: string) => id !== 'h1'
    const machines = [aMachine('machine-h2')]
    const world = { hosts, isConnected, machines, missingMs: 0 }
    expect(look(world, look(world).memory).decisions).toEqual([{ ...gone, isProven: true }])
    const alone = { ...world, hosts: [aHost()] }
    expect(look(alone, look(alone).memory).decisions).toEqual([gone])
  })

  it('that was never bound is gone once its launch has ended without a machine for it', () => {
    const world = { hosts: [unbound('h1')] }
    expect(lookOften(...times(3, world)).decisions).toEqual([])
    expect(lookOften(...times(4, world)).decisions).toMatchObject([
      { kind: 'host-gone', hostId: 'h1', reason: 'its launch has ended without a machine for it' },
    ])
  })

  it('that belongs to no launch is ended if it waits for one, and else is nobody’s business', () => {
    const hosts = [
      aHost({ cloudId: null, launchId: null }),
      aHost({ id: 'h2', cloudId: null, launchId: null, status: 'LAUNCHING' }),
    ]
    expect(lookOften(...times(6, { hosts })).decisions).toMatchObject([
      { kind: 'host-gone', hostId: 'h2', reason: 'it is LAUNCHING, and belongs to no launch' },
    ])
  })
})

describe('a row that is TERMINATING', () => {
  const hosts = [aHost({ status: 'TERMINATING' })]
  const machines = [aMachine('machine-h1')]
  const openActions = [{ id: 'test/one:5.0', kind: 'terminate', target: 'h1' }] as const

  it('is left to the action that ends it', () => {
    expect(lookOften(...times(9, { hosts, openActions }))).toMatchObject(nothing)
  })

  it('is said to take long when the provider still has its machine after the grace time', () => {
    expect(lookOften(...times(5, { hosts, machines, openActions })).decisions).toEqual([])
    expect(lookOften(...times(6, { hosts, machines, openActions })).decisions).toMatchObject([
      { kind: 'report', hostId: 'h1' },
    ])
  })

  it('is ended when nothing does: somebody set its status by hand', () => {
    expect(lookOften(...times(5, { hosts })).decisions).toEqual([])
    expect(lookOften(...times(6, { hosts, machines })).decisions).toMatchObject([
      { kind: 'terminate', hostId: 'h1' },
    ])
  })
})

describe('whatever list and rows say, in looks of a minute', () => {
  const hostIds = ['h1', 'h2', 'h3', 'h4']
  const cloudIds = ['m1', 'm2', 'm3', 'm4', 'm5']
  const launches = ['L1', 'L2']
  const someWorld = fc.record({
    hosts: fc
      .uniqueArray(
        fc.record({
          id: fc.constantFrom(...hostIds),
          cloudId: fc.constantFrom(null, null, ...cloudIds),
          launchId: fc.constantFrom(null, ...launches),
          status: fc.constantFrom('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING', 'TERMINATING'),
          createdAt: fc.constantFrom(anHourAgo, now),
        }),
        { selector: ({ id }) => id },
      )
      .map(
        (hosts) =>
          hosts.filter(
            (host, at) =>
              hosts.findIndex((one) => one.cloudId === host.cloudId) === at || host.cloudId === null,
          ) as SweepHost[],
      ),
    machines: fc
      .subarray(cloudIds)
      .chain((ids) =>
        fc.tuple(
          ...ids.map((cloudId) =>
            fc.constantFrom(...launches).map((launch) => ({ ...aMachine(cloudId), launchId: launch })),
          ),
        ),
      ),
    open: fc.subarray(launches),
    connected: fc.subarray(hostIds),
    listsMachines: fc.constantFrom(true, true, true, false),
  })

  /** Most looks see what the last one saw. */
  const someWorlds = fc
    .array(fc.tuple(someWorld, fc.integer({ min: 1, max: 14 })), { minLength: 1, maxLength: 3 })
    .map((spells) => spells.flatMap(([world, looks]) => Array.from({ length: looks }, () => world)))
  type Seen = typeof someWorld extends fc.Arbitrary<infer World> ? World : never

  const isStranger = (cloudId: string) => (seen: Seen) =>
    seen.machines.some((machine) => machine.cloudId === cloudId) &&
    !seen.hosts.some((host) => host.cloudId === cloudId)
  const isMissed = (hostId: string) => (seen: Seen) => {
    const host = seen.hosts.find(({ id }) => id === hostId)
    const isListed = seen.machines.some((machine) => machine.cloudId === host?.cloudId)
    return host !== undefined && seen.listsMachines && !isListed
  }

  it('holds the laws of the sweep', () => {
    const decided = { 'clear-orphan': 0, 'host-gone': 0, adopt: 0 }
    fc.assert(
      fc.property(someWorlds, (worlds) => {
        let memory: SweepMemory = noMemory
        for (const [minute, world] of worlds.entries()) {
          const { hosts, machines, open, connected, listsMachines } = world
          const openActions = open.map((id) => ({ ...launching, id }))
          const found = sweepFindings({
            ...{ ...bare, ...later(minute * 60_000), machines, listsMachines, memory },
            rows: { openActions, hosts, named: [], launches: [], oldestRowAt: 0 },
            isConnected: (id) => connected.includes(id),
          })
          memory = found.memory
          const held = (minutes: number, was: (seen: Seen) => boolean) =>
            minute >= minutes && worlds.slice(minute - minutes, minute + 1).every(was)

          for (const { launchId: launch, cloudIds: bound } of found.adoptions) {
            decided.adopt += 1
            const seats = hosts.filter((host) => host.launchId === launch && host.cloudId === null)
            expect(bound.length).toBeLessThanOrEqual(seats.length)
            expect(open).not.toContain(launch)
          }
          const targets = found.decisions.map(targetOf)
          expect(new Set(targets).size).toBe(targets.length)
          for (const decision of found.decisions) {
            if (decision.kind === 'clear-orphan') {
              decided['clear-orphan'] += 1
              const machine = machines.find(({ cloudId }) => cloudId === decision.cloudId)
              expect(open).not.toContain(machine?.launchId)
              expect(found.adoptions.flatMap((one) => one.cloudIds)).not.toContain(decision.cloudId)
              expect(held(10, isStranger(decision.cloudId))).toBe(true)
            } else if (decision.kind === 'host-gone') {
              const host = hosts.find(({ id }) => id === decision.hostId)
              expect(open).not.toContain(host?.launchId)
              if (host?.cloudId === null) continue
              decided['host-gone'] += 1
              expect(connected).not.toContain(host?.id)
              expect(held(5, isMissed(decision.hostId))).toBe(true)
            }
          }
        }
      }),
      { numRuns: 200 },
    )
    // Laws about what never happened would be kept by anything.
    for (const [kind, count] of Object.entries(decided)) expect(count, kind).toBeGreaterThan(30)
  })
})
