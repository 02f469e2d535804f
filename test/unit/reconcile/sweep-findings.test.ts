import { describe, expect, it } from 'vitest'
import type { SweepInput } from '../../../src/reconcile/sweep-findings.ts'
import { noSuspects, sweepFindings } from '../../../src/reconcile/sweep-findings.ts'
import { aHost, now } from '../../support/factories.ts'

const graceMs = 60_000
const longAgo = now - graceMs
const launchId = 'test/one:1.0'
const aMachine = (cloudId: string, startedAt = longAgo) => ({ cloudId, launchId, startedAt })
const unbound = (id: string) =>
  aHost({ id, status: 'LAUNCHING', cloudId: null, launchId, createdAt: longAgo })

type World = Partial<Omit<SweepInput, 'suspects'>>

function look(world: World, suspects = noSuspects) {
  return sweepFindings({
    ...{ now, graceMs, hosts: [], machines: [], listsMachines: true, openActions: [] },
    ...{ ...world, suspects },
  })
}
const lookTwice = (world: World, then: World = world) => look(then, look(world).suspects)

describe('the sweep', () => {
  it('finds nothing where list and rows agree', () => {
    const hosts = [aHost(), aHost({ id: 'h2', status: 'DRAINING' })]
    const machines = [aMachine('machine-h1'), aMachine('machine-h2')]
    expect(lookTwice({ hosts, machines })).toEqual({ adoptions: [], decisions: [], suspects: new Set() })
  })

  it('leaves a launch alone that is still under way', () => {
    const openActions = [{ id: launchId, kind: 'launch', target: null }] as const
    const found = lookTwice({
      hosts: [unbound('h1')],
      machines: [aMachine('m1'), aMachine('m2')],
      openActions,
    })
    expect(found).toEqual({ adoptions: [], decisions: [], suspects: new Set() })
  })
})

describe('a machine without a row', () => {
  it('is adopted at once where its launch has an unbound row, in order of id', () => {
    const hosts = [unbound('h1'), aHost({ id: 'h2' }), unbound('h3')]
    const machines = [aMachine('machine-h2'), aMachine('m9', now), aMachine('m1', now)]
    expect(look({ hosts, machines })).toEqual({
      adoptions: [{ launchId, cloudIds: ['m1', 'm9'] }],
      decisions: [],
      suspects: new Set(),
    })
  })

  it('is an orphan beyond the rows of its launch', () => {
    const world = { hosts: [unbound('h1')], machines: [aMachine('m2'), aMachine('m1')] }
    const found = lookTwice(world)
    expect(found.adoptions).toEqual([{ launchId, cloudIds: ['m1'] }])
    expect(found.decisions).toMatchObject([{ kind: 'clear-orphan', cloudId: 'm2' }])
  })

  it('is cleared on the second look only', () => {
    const machines = [aMachine('m1')]
    expect(look({ machines }).decisions).toEqual([])
    expect(lookTwice({ machines }).decisions).toEqual([
      {
        kind: 'clear-orphan',
        cloudId: 'm1',
        reason: 'the provider has this machine of launch test/one:1.0, and no row stands for it',
      },
    ])
  })

  it('is left alone within the grace time', () => {
    expect(lookTwice({ machines: [aMachine('m1', longAgo + 1)] }).decisions).toEqual([])
  })

  it('must be an orphan at both looks, not at any two', () => {
    const machines = [aMachine('m1')]
    const between = look({ machines: [] }, look({ machines }).suspects)
    expect(look({ machines }, between.suspects).decisions).toEqual([])
  })

  it('is not cleared again while that is under way', () => {
    const openActions = [{ id: 'test/one:5.0', kind: 'clear-orphan', target: 'm1' }] as const
    expect(lookTwice({ machines: [aMachine('m1')], openActions }).decisions).toEqual([])
  })

  it('is an orphan when its row has ended', () => {
    const hosts = [aHost({ status: 'TERMINATED' })]
    expect(lookTwice({ hosts, machines: [aMachine('machine-h1')] }).decisions).toMatchObject([
      { kind: 'clear-orphan', cloudId: 'machine-h1' },
    ])
  })
})

describe('a row without a machine', () => {
  it('is none where machines are not listed, but is ended all the same when somebody says so', () => {
    const hosts = [
      aHost({ createdAt: longAgo }),
      aHost({ id: 'h2', status: 'TERMINATING', statusSince: longAgo }),
    ]
    expect(lookTwice({ hosts, listsMachines: false }).decisions).toMatchObject([
      { kind: 'terminate', hostId: 'h2' },
    ])
  })

  it('is gone on the second look only', () => {
    const hosts = [aHost({ createdAt: longAgo })]
    expect(look({ hosts }).decisions).toEqual([])
    expect(lookTwice({ hosts }).decisions).toEqual([
      { kind: 'host-gone', hostId: 'h1', reason: 'the provider no longer has its machine' },
    ])
  })

  it('is left alone within the grace time', () => {
    expect(lookTwice({ hosts: [aHost({ createdAt: longAgo + 1 })] }).decisions).toEqual([])
  })

  it('is not gone when its machine is back at the second look', () => {
    const hosts = [aHost()]
    expect(lookTwice({ hosts }, { hosts, machines: [aMachine('machine-h1')] }).decisions).toEqual([])
  })

  it('that was never bound is gone once its launch has ended without a machine for it', () => {
    const hosts = [unbound('h1')]
    expect(look({ hosts }).decisions).toEqual([])
    expect(lookTwice({ hosts }).decisions).toMatchObject([{ kind: 'host-gone', hostId: 'h1' }])
  })

  it('that belongs to no launch is nobody else’s business', () => {
    const hosts = [aHost({ cloudId: null, launchId: null })]
    expect(lookTwice({ hosts })).toEqual({ adoptions: [], decisions: [], suspects: new Set() })
  })
})

describe('a row that is TERMINATING', () => {
  const hosts = [aHost({ status: 'TERMINATING', statusSince: longAgo })]

  it('is left to the action that ends it', () => {
    const openActions = [{ id: 'test/one:5.0', kind: 'terminate', target: 'h1' }] as const
    expect(lookTwice({ hosts, openActions }).decisions).toEqual([])
  })

  it('is ended when nothing does: somebody set its status by hand', () => {
    expect(look({ hosts }).decisions).toEqual([])
    expect(lookTwice({ hosts, machines: [aMachine('machine-h1')] }).decisions).toMatchObject([
      { kind: 'terminate', hostId: 'h1' },
    ])
  })
})
