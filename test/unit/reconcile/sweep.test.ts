import { afterEach, describe, expect, it } from 'vitest'

import { FakeCloud } from '../../../host-handlers/fake/cloud.ts'
import { createFakeHandler } from '../../../host-handlers/fake/handler.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { HostHandler } from '../../../src/model/host-handler.ts'
import type { SweepHost } from '../../../src/model/sweep.ts'
import type { SweepOptions } from '../../../src/reconcile/sweep.ts'
import { Sweep } from '../../../src/reconcile/sweep.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { aLaunchSpec } from '../../host-handlers/contract.ts'
import { aHost, aRegion } from '../../support/factories.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

const [intervalMs, graceMs, missingMs] = [120_000, 600_000, 300_000]
const region = 'fake/a'
const never = new AbortController().signal

/** A fake cloud, tables that the test writes, and a sweep between them. */
function aWorld(overrides: Partial<SweepOptions> = {}) {
  const clock = new TestClock()
  const cloud = new FakeCloud({ clock })
  const mirror = new Mirror({ clock, lastHeard: () => undefined, waitingUsers: () => 0 })
  mirror.apply({ regions: [aRegion({ id: region, provider: 'fake' })] })
  const seen = { reads: [] as string[], bound: [] as string[], wakes: [] as string[] }
  const world = {
    ...{ clock, cloud, mirror, seen },
    hosts: [] as SweepHost[],
    connected: new Set<string>(),
    fence: 1 as number | undefined,
    handler: createFakeHandler(cloud, 'fleet-1'),
    launch: async (count: number, fleetId = 'fleet-1') => {
      const launched = cloud.launch(aLaunchSpec({ regionId: region, launchId: 'L', count, fleetId }), never)
      await clock.advance(0)
      return (await launched).cloudIds
    },
  }
  const sweep = new Sweep({
    store: {
      readSweepRows: async (_regionId, machines) => {
        seen.reads.push(machines.map(({ cloudId }) => cloudId).join())
        return { openActions: [], hosts: world.hosts, named: [], launches: [], oldestRowAt: 0 }
      },
      bindLaunch: async (launchId, cloudIds) => {
        seen.bound.push(`${launchId}: ${cloudIds.length}`)
        return []
      },
    },
    ...{ mirror, clock, intervalMs, graceMs, missingMs },
    logger: silentLogger,
    fleetId: () => 'fleet-1',
    handlerOf: async () => world.handler,
    fence: () => world.fence,
    isConnected: (hostId) => world.connected.has(hostId),
    wake: (regionId) => seen.wakes.push(regionId),
    ...overrides,
  })
  return { ...world, world, sweep }
}

let stop: () => Promise<void> = () => Promise.resolve()
afterEach(() => stop())
function started(overrides: Partial<SweepOptions> = {}) {
  const made = aWorld(overrides)
  made.sweep.start()
  stop = () => made.sweep.stop()
  return made
}
const bound = (cloudId: string, id = 'h1'): SweepHost => aHost({ id, cloudId, launchId: 'L' })

describe('the sweep', () => {
  it('looks at start and every two minutes, and ends an orphan after the grace time', async () => {
    const { sweep, seen, clock, launch } = aWorld()
    const [orphan = ''] = await launch(1)
    sweep.start()
    stop = () => sweep.stop()
    await clock.advance(0)
    expect(seen.reads).toHaveLength(1)
    await clock.advance(graceMs - 1)
    expect({ found: sweep.findings(region), reads: seen.reads.length }).toEqual({ found: [], reads: 5 })
    await clock.advance(1)
    expect(sweep.findings(region)).toMatchObject([{ kind: 'clear-orphan', cloudId: orphan }])
    expect(seen.wakes).toEqual([region])
    expect(sweep.lastLook(region)).toBe(clock.now())
  })

  it('reads the rows after the whole list, never before', async () => {
    const { sweep, world, seen, clock } = started()
    await clock.advance(0)
    const order: string[] = []
    const read = seen.reads
    world.handler = {
      ...world.handler,
      async *list() {
        for (const cloudId of ['m1', 'm2']) {
          await clock.sleep(1_000)
          order.push(`${cloudId} listed, ${read.length - 1} reads`)
          yield { cloudId, launchId: 'L', fleetId: 'fleet-1', startedAt: 0 }
        }
      },
    }
    const looked = sweep.look(region, { isDry: false })
    await clock.advance(2_000)
    await looked
    expect(order).toEqual(['m1 listed, 0 reads', 'm2 listed, 0 reads'])
    expect(read.at(-1)).toBe('m1,m2')
  })

  it('takes a list that fails, also after some machines, for no look at all: nothing is missed by it', async () => {
    const { sweep, world, clock, launch } = started()
    const [one = '', two = ''] = await launch(2)
    world.hosts = [bound(one, 'h1'), bound(two, 'h2')]
    const whole = world.handler
    const half: HostHandler = {
      ...whole,
      async *list() {
        for await (const machine of whole.list(region, never)) {
          yield machine
          throw new Error('page 2 did not come')
        }
      },
    }
    for (let looks = 0; looks < 5; looks += 1) {
      world.handler = half
      await clock.advance(missingMs)
      expect(await sweep.look(region, { isDry: false })).toMatchObject({ failure: 'page 2 did not come' })
    }
    expect(sweep.findings(region)).toEqual([])
    // Two whole ones with failed ones between them count, and the failed ones do not.
    world.handler = whole
    world.cloud.lose(two)
    await sweep.look(region, { isDry: false })
    world.handler = half
    await clock.advance(missingMs - 60_000)
    world.handler = whole
    expect((await sweep.look(region, { isDry: false })).findings).toMatchObject([
      { state: 'waiting', target: 'h2' },
    ])
    await clock.advance(60_000)
    expect((await sweep.look(region, { isDry: false })).findings).toMatchObject([
      { state: 'due', target: 'h2' },
    ])
    world.handler = half
    await sweep.look(region, { isDry: false })
    expect(sweep.findings(region), 'what is certain must be so by the last look').toEqual([])
  })

  it('never touches a machine of another fleet, even when a provider lists it', async () => {
    const { sweep, world, clock, launch, seen } = started()
    await launch(2, 'fleet-2')
    world.handler = createFakeHandler(world.cloud, 'fleet-2')
    await clock.advance(2 * graceMs)
    const report = await sweep.look(region, { isDry: false })
    expect(report).toMatchObject({ failure: null, machines: 0, findings: [] })
    expect(seen.reads.every((asked) => asked === '')).toBe(true)
  })

  it('binds what belongs to an unbound row at once', async () => {
    const { sweep, world, seen, launch } = started()
    await launch(2)
    world.hosts = [{ ...bound('', 'h1'), cloudId: null, status: 'LAUNCHING' }]
    const report = await sweep.look(region, { isDry: false })
    expect(seen.bound).toEqual(['L: 1'])
    expect(report.findings.map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      'adopt due',
      'clear-orphan waiting',
    ])
  })

  it('changes nothing in a dry run: it binds nothing, decides nothing and remembers nothing', async () => {
    const { sweep, world, seen, clock, launch } = started()
    await clock.advance(0)
    await launch(2)
    world.hosts = [{ ...bound('', 'h1'), cloudId: null, status: 'LAUNCHING' }]
    const dry = await sweep.look(region, { isDry: true })
    expect(dry.findings).toHaveLength(2)
    expect(await sweep.look(region, { isDry: true })).toEqual(dry)
    expect({ ...seen, reads: 0 }).toEqual({ reads: 0, bound: [], wakes: [] })
    world.hosts = []
    await clock.advance(60_000)
    await sweep.look(region, { isDry: false })
    await clock.advance(graceMs)
    expect((await sweep.look(region, { isDry: true })).findings.map(({ state }) => state)).toEqual([
      'due',
      'held',
    ])
  })

  it('forgets a host that was missing when its manager comes back before a turn', async () => {
    const { sweep, world, clock } = started()
    world.hosts = [bound('m1')]
    await clock.advance(3 * intervalMs)
    expect(sweep.findings(region)).toMatchObject([{ kind: 'host-gone', hostId: 'h1' }])
    world.connected.add('h1')
    expect(sweep.findings(region)).toEqual([])
  })

  it('hands its findings to turns until one has stored them; what was held back stays', async () => {
    const { sweep, world, clock } = started()
    world.hosts = [bound('m1', 'h1'), bound('m2', 'h2')]
    await clock.advance(3 * intervalMs)
    const found = sweep.findings(region)
    expect(found).toHaveLength(2)
    expect(sweep.findings(region)).toEqual(found)
    sweep.decided(region, found.slice(1))
    expect(sweep.findings(region)).toEqual(found.slice(1))
    sweep.decided(region, [])
    expect(sweep.findings(region)).toEqual([])
  })

  it('of a slow region holds no other, and a list that hangs, deaf to its signal, ends after ten minutes', async () => {
    const { sweep, world, mirror, clock } = started()
    mirror.apply({ regions: [aRegion({ id: 'fake/b', provider: 'fake' })] })
    const deaf = {
      ...world.handler,
      list: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }),
    }
    const { handlerOf } = { handlerOf: world.handler }
    world.handler = deaf
    await clock.advance(intervalMs)
    world.handler = handlerOf
    const hung = sweep.look(region, { isDry: false })
    await clock.advance(600_000)
    expect(sweep.lastLook('fake/b')).toBeDefined()
    expect(await hung).toMatchObject({ failure: null })
    world.handler = deaf
    const last = sweep.look(region, { isDry: false })
    await settle()
    await sweep.stop()
    expect(await last).toMatchObject({ failure: 'the daemon stops' })
  })

  it('labels the machines of its rows, a few at a look, and no others; a failure is no matter', async () => {
    const { sweep, world, launch } = aWorld()
    const [ours = '', other = ''] = await launch(2)
    world.hosts = [bound(ours), bound('gone', 'h2')]
    const asked: unknown[] = []
    const labels = new Map<string, string>()
    const list = world.handler.list.bind(world.handler)
    world.handler = {
      ...world.handler,
      async *list(regionId, signal) {
        for await (const machine of list(regionId, signal)) {
          yield machine.cloudId === ours ? { ...machine, label: labels.get(ours) } : machine
        }
      },
      label: async (given) => {
        asked.push([...given])
        if (asked.length === 1) throw new Error('not now')
      },
    }
    sweep.start()
    stop = () => sweep.stop()
    await settle()
    expect(await sweep.look(region, { isDry: true })).toMatchObject({ failure: null })
    await sweep.look(region, { isDry: false })
    expect(asked).toEqual([[[ours, 'h1']], [[ours, 'h1']]])
    labels.set(ours, 'h1')
    expect(await sweep.look(region, { isDry: false })).toMatchObject({ failure: null })
    expect(asked).toHaveLength(2)
    expect(other).not.toBe('')
  })

  it('is refused by a daemon that is not the active one, and of a region that is not there', async () => {
    const { sweep, world } = aWorld()
    await expect(sweep.look(region, { isDry: true })).rejects.toMatchObject({ code: 'unavailable' })
    sweep.start()
    await expect(sweep.look('fake/none', { isDry: true })).rejects.toMatchObject({ code: 'not-found' })
    world.fence = undefined
    expect(await sweep.look(region, { isDry: false })).toMatchObject({
      failure: 'this daemon is not the active one',
    })
    await sweep.stop()
  })

  it('begins anew at a take-over: what another daemon’s time has seen counts for nothing', async () => {
    const { sweep, world, clock } = started()
    world.hosts = [bound('m1')]
    await clock.advance(missingMs)
    await sweep.stop()
    sweep.start()
    await clock.advance(0)
    expect(sweep.findings(region)).toEqual([])
  })
})
