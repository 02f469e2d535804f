import { setTimeout as sleep } from 'node:timers/promises'

import pg from 'pg'

import { algorithm } from '../scaling-algorithms/default/algorithm.ts'
import { defaultOptions } from '../scaling-algorithms/default/options.ts'
import type { FleetEvent } from '../src/model/event.ts'
import { RegionMirror } from '../src/store/region-mirror.ts'
import type { HostView, RegionSnapshot } from '../src/model/snapshot.ts'
import { aHost, anEvent, anImage, aRegion, aTick, now } from '../test/support/factories.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import { startBenchDaemon } from './support/daemon.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import { recordingProvider } from './support/recording-provider.ts'
import { machineMs, percentile } from './support/statistics.ts'

const sizes = [100, 1_000, 10_000, 100_000] as const
const [smallSize, , largeSize] = sizes
const warmUps = 10
const turns = 80
const restMs = 30
const options = defaultOptions.parse({})

export const plan: Benchmark = {
  name: 'plan',
  about:
    'plan() of `default` by hosts, against one bare pass over them; and a whole turn, from UPDATE to stored decision, at 10,000 hosts against 100',
  run: async (context) => [...pureFigures(), ...(await turnFigures(context))],
}

/** The dearer of two events: one on which the region must grow, and a tick on which it may shrink. */
function pureFigures(): readonly Figure[] {
  const timesOf = (size: number) => {
    const growing = aRegionOf(size, 1_000)
    const shrinking = aRegionOf(size, -1_000)
    return {
      size,
      plan: Math.max(timeOf(growing, anEvent()), timeOf(shrinking, aTick)),
      bare: timed(() => onePass(growing)),
    }
  }
  // The compiler's work must not fall to the region that comes first.
  timesOf(largeSize)
  const times = sizes.map(timesOf)
  const figures = times.map(({ size, plan: measured, bare }): Figure => ({
    what: `plan, ${size} hosts`,
    unit: 'ms',
    measured,
    baseline: bare,
    against: 'one pass',
    ...(size === largeSize && { aim: { of: 'measured', most: 5 } }),
  }))
  // A pass over rows that no longer fit a cache is slower by more than their number: linear is what a bare pass is.
  const growths = times.slice(1).map(({ size, plan: measured, bare }, index): Figure => {
    const smaller = times[index]
    return {
      what: `growth from ${smaller?.size ?? size} to ${size} hosts`,
      unit: '×',
      measured: measured / (smaller?.plan ?? measured),
      baseline: bare / (smaller?.bare ?? bare),
      against: 'one pass',
      aim: { of: 'ratio', most: 1.25 },
    }
  })
  return [...figures, ...growths]
}

/**
 * As the mirror gives it: a tenth starting, a twentieth draining, the rest ACTIVE with free or busy agents. `lack` more
 * agents are wanted than are free.
 */
function aRegionOf(size: number, lack: number): RegionSnapshot {
  const hosts = Array.from({ length: size }, (_, index): HostView => {
    const id = `h${String(index).padStart(6, '0')}`
    if (index % 10 === 0) return aHost({ id, status: 'PRE_CONNECTION' })
    if (index % 20 === 1) return aHost({ id, status: 'DRAINING', agents: ['RUNNING'] })
    return aHost({ id, agents: index % 3 === 0 ? ['RUNNING', 'RUNNING'] : ['WAITING', 'WAITING'] })
  })
  const free = hosts.reduce((sum, host) => sum + host.waitingAgents, 0)
  const region = aRegion({ targetFreeAgents: Math.max(0, free + lack), maxHosts: 2 * size })
  const mirror = new RegionMirror(region)
  mirror.beginRebuild()
  mirror.endRebuild({
    region,
    images: [anImage()],
    hosts: hosts.map(({ agents: _, waitingAgents: __, liveAgents: ___, heardAt: ____, ...host }) => host),
    agents: hosts.flatMap(({ agents }) => agents),
    blocked_offerings: [],
    rollouts: [],
    versions: [],
  })
  return mirror.snapshot({ now, waitingUsers: 0, heardAt: () => now })
}

const timeOf = (snapshot: RegionSnapshot, event: FleetEvent): number =>
  timed(() => algorithm.plan(snapshot, event, options))

/** What every plan must at least do: look at each host, its capacity and its age. */
function onePass({ hosts, activeImage }: RegionSnapshot): number {
  let free = 0
  let oldest = hosts[0]
  for (const host of hosts) {
    if (host.status !== 'ACTIVE' || host.imageId !== activeImage?.id || host.liveAgents > 0) continue
    free += Math.min(host.capacity, host.waitingAgents)
    if (oldest === undefined || host.createdAt < oldest.createdAt) oldest = host
    else if (host.createdAt === oldest.createdAt && host.id < oldest.id) oldest = host
  }
  return free + (oldest?.revision ?? 0)
}

/**
 * The fastest of many batches, each long enough for the clock; milliseconds a call. What slows a batch down is another
 * program.
 */
function timed(call: () => unknown): number {
  let calls = 1
  while (timeOfCalls(call, calls) < 2 && calls < 1e6) calls *= 2
  return Math.min(...Array.from({ length: 51 }, () => timeOfCalls(call, calls) / calls))
}

function timeOfCalls(call: () => unknown, calls: number): number {
  const from = machineMs()
  for (let index = 0; index < calls; index += 1) call()
  return machineMs() - from
}

async function turnFigures(context: BenchContext): Promise<readonly Figure[]> {
  const database = await createBenchDatabase(context.clusterUrl)
  const closers: (() => Promise<unknown>)[] = [() => database.drop()]
  try {
    const sizesOf = { small: smallSize, large: largeSize }
    const regions = { small: `bench/${smallSize}`, large: `bench/${largeSize}` }
    for (const size of ['small', 'large'] as const) {
      await seedFleet(database, {
        regionId: regions[size],
        provider: recordingProvider,
        hosts: sizesOf[size],
        agentsPerHost: 2,
        targetFreeAgents: 2 * sizesOf[size],
        minHosts: 0,
      })
    }
    await database.sql(`create function public.notify_decided() returns trigger language plpgsql as
      $$ begin perform pg_notify('decided', new.region_id); return null; end $$`)
    await database.sql(`create trigger notify_decided after insert on fleet.decisions
      for each row execute function public.notify_decided()`)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    closers.push(() => client.end())
    let decided: (at: number) => void = () => undefined
    client.on('notification', () => decided(machineMs()))
    await client.query('listen decided')
    const daemon = await startBenchDaemon(database.url, context)
    closers.push(() => daemon.stop())

    const turn = async (regionId: string): Promise<number> => {
      const stored = new Promise<number>((resolve) => (decided = resolve))
      const from = machineMs()
      await client.query({
        name: 'update',
        // A host more each time.
        text: 'update fleet.regions set target_free_agents = target_free_agents + 2 where id = $1',
        values: [regionId],
      })
      const took = (await stored) - from
      // What the turn's launch leaves to be stored must not meet the next turn.
      await sleep(restMs)
      return took
    }
    context.progress(`${turns} turns of ${smallSize} hosts, and of ${largeSize} between them`)
    const small: number[] = []
    const large: number[] = []
    for (let sample = -warmUps; sample < turns; sample += 1) {
      const [one, other] = [await turn(regions.small), await turn(regions.large)]
      if (sample < 0) continue
      small.push(one)
      large.push(other)
    }
    const figure = (percent: number): Figure => ({
      what: `turn, ${largeSize} hosts, p${percent}`,
      unit: 'ms',
      measured: percentile(large, percent),
      baseline: percentile(small, percent),
      against: `${smallSize} hosts`,
    })
    return [{ ...figure(50), aim: { of: 'ratio', most: 3 } }, figure(95)]
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
