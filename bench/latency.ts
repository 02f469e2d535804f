import { setTimeout as sleep } from 'node:timers/promises'

import pg from 'pg'

import { createBareRegions } from './support/bare-listen.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import { startBenchDaemon } from './support/daemon.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import { startProgram } from './support/programs.ts'
import type { LaunchCalled } from './support/recording-provider.ts'
import { recordingProvider } from './support/recording-provider.ts'
import { machineMs, percentile } from './support/statistics.ts'

const warmUps = 100
const samples = 400
/** What a launch leaves to be stored must not meet the next sample. */
const restMs = 20
/** In turn, so that no region grows much while it is measured. */
const regionIds = Array.from({ length: 10 }, (_, index) => `bench/latency-${index}`)

/** What the bare turn stores. */
const bareTables = `
create table bare.decisions (id text primary key, region_id text not null, reason text not null, created_at timestamptz default now());
create table bare.hosts (id text primary key, region_id text not null, status text default 'LAUNCHING', created_at timestamptz default now());
create table bare.actions (id text primary key, region_id text not null, params jsonb not null, created_at timestamptz default now())`

export const latency: Benchmark = {
  name: 'latency',
  about:
    "from sending a row's UPDATE to the provider's call, against LISTEN, one read by key and one insert transaction",
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const closers: (() => Promise<unknown>)[] = [() => database.drop()]
    try {
      for (const regionId of regionIds) {
        await seedFleet(database, {
          regionId,
          provider: recordingProvider,
          hosts: 0,
          agentsPerHost: 0,
          targetFreeAgents: 0,
          minHosts: 0,
        })
      }
      await createBareRegions(database)
      await database.sql(bareTables)
      return await measure(context, database.url, closers)
    } finally {
      for (const close of closers.reverse()) await close()
    }
  },
}

async function measure(
  context: BenchContext,
  url: string,
  closers: (() => Promise<unknown>)[],
): Promise<readonly Figure[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  closers.push(() => client.end())
  const bare = await startProgram(`${import.meta.dirname}/programs/bare-executor.ts`)
  closers.push(() => bare.stop())
  await bare.call('start', url)
  const daemon = await startBenchDaemon(url, context)
  closers.push(() => daemon.stop())
  let launched: (at: number) => void = () => undefined
  daemon.onMessage((message) => launched((message as LaunchCalled).at))

  /** A larger buffer each time: one launch of one host. */
  const update = async (schema: 'fleet' | 'bare', sample: number): Promise<number> => {
    const sentAt = machineMs()
    await client.query({
      name: schema,
      text: `update ${schema}.regions set target_free_agents = target_free_agents + 1 where id = $1`,
      values: [regionIds.at(sample % regionIds.length)],
    })
    return sentAt
  }
  const throughMuster = async (sample: number): Promise<number> => {
    const called = new Promise<number>((resolve) => (launched = resolve))
    return -(await update('fleet', sample)) + (await called)
  }
  const throughBare = async (sample: number): Promise<number> => {
    const called = bare.call<number>('next')
    return -(await update('bare', sample)) + (await called)
  }

  const ours: number[] = []
  const theirs: number[] = []
  context.progress(`${samples} updates, and as many bare ones between them`)
  for (let sample = -warmUps; sample < samples; sample += 1) {
    const our = await throughMuster(sample)
    await sleep(restMs)
    const their = await throughBare(sample)
    if (sample >= 0) {
      ours.push(our)
      theirs.push(their)
    }
    await sleep(restMs)
  }
  return [
    {
      what: 'p50',
      unit: 'ms',
      measured: percentile(ours, 50),
      baseline: percentile(theirs, 50),
      aim: { of: 'ratio', most: 3 },
    },
    { what: 'p99', unit: 'ms', measured: percentile(ours, 99), baseline: percentile(theirs, 99) },
  ]
}
