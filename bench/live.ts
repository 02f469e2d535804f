import { setTimeout as sleep } from 'node:timers/promises'

import { createClient } from 'graphql-ws'
import pg from 'pg'
import WebSocket from 'ws'

import { bareChannel, createBareRegions } from './support/bare-listen.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import { startProgram } from './support/programs.ts'
import { machineMs, percentile } from './support/statistics.ts'

const adminSecret = 'admin-secret-of-the-benchmarks'
const regionId = 'bench/live'
const warmUps = 30
const samples = 300
const restMs = 10
const many = 1_000
const sockets = 10
const manySamples = 10

export const live: Benchmark = {
  name: 'live',
  about: `from sending a row's UPDATE to a subscriber, against bare LISTEN; and ${many} live queries that it changes`,
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const closers: (() => Promise<unknown>)[] = [() => database.drop()]
    try {
      await seedFleet(database, {
        regionId,
        provider: 'static',
        hosts: 0,
        agentsPerHost: 0,
        targetFreeAgents: 0,
        minHosts: 0,
      })
      await createBareRegions(database)
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
  const program = await startProgram(`${import.meta.dirname}/programs/endpoint.ts`)
  closers.push(() => program.call('end').then(() => program.stop()))
  const endpointUrl = await program.call<string>('start', { url, adminSecret })
  const writer = new pg.Client({ connectionString: url })
  const listener = new pg.Client({ connectionString: url })
  for (const client of [writer, listener]) {
    await client.connect()
    closers.push(() => client.end())
  }
  await listener.query(`listen ${bareChannel}`)

  let value = 0
  const update = async (schema: 'fleet' | 'bare'): Promise<number> => {
    const sentAt = machineMs()
    value += 1
    await writer.query({
      name: schema,
      text: `update ${schema}.regions set target_free_agents = $2 where id = $1`,
      values: [regionId, value],
    })
    return sentAt
  }
  const subscribers = Array.from({ length: sockets }, () =>
    createClient({
      url: endpointUrl.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { headers: { 'x-hasura-admin-secret': adminSecret } },
    }),
  )
  for (const client of subscribers) closers.push(async () => client.dispose())

  /** Calls back with each value that a live query is told. */
  const follow = (index: number, told: (value: number) => void): (() => void) => {
    const client = subscribers[index % sockets]
    if (client === undefined) throw new RangeError('no such subscriber')
    return client.subscribe<{ fleet_regions: { target_free_agents: number }[] }>(
      {
        query: `subscription ($id: String!, $least: Int!) {
          fleet_regions(where: {id: {_eq: $id}, target_free_agents: {_gt: $least}}) { target_free_agents }
        }`,
        variables: { id: regionId, least: -1 - index },
      },
      {
        next: ({ data }) => told(data?.fleet_regions[0]?.target_free_agents ?? -1),
        error: (error) => {
          throw error instanceof Error ? error : new Error(JSON.stringify(error))
        },
        complete: () => undefined,
      },
    )
  }

  let heard: (value: number) => void = () => undefined
  const first = new Promise<number>((resolve) => (heard = resolve))
  const unfollow = follow(0, (given) => heard(given))
  await first
  const throughEndpoint = async (): Promise<number> => {
    const arrived = new Promise<number>((resolve) => (heard = () => resolve(machineMs())))
    return -(await update('fleet')) + (await arrived)
  }
  const throughBare = async (): Promise<number> => {
    const arrived = new Promise<number>((resolve) => {
      listener.once('notification', () => resolve(machineMs()))
    })
    return -(await update('bare')) + (await arrived)
  }
  const ours: number[] = []
  const theirs: number[] = []
  context.progress(`${samples} updates, and as many bare ones between them`)
  for (let sample = -warmUps; sample < samples; sample += 1) {
    const [our, their] = [await throughEndpoint(), await sleep(restMs).then(throughBare)]
    if (sample >= 0) {
      ours.push(our)
      theirs.push(their)
    }
    await sleep(restMs)
  }
  unfollow()

  context.progress(`${many} live queries with different variables`)
  let missing = many
  let all: () => void = () => undefined
  const begun = new Promise<void>((resolve) => (all = resolve))
  for (let index = 0; index < many; index += 1) {
    follow(index, () => {
      missing -= 1
      if (missing === 0) all()
    })
  }
  await begun
  const together: number[] = []
  for (let sample = 0; sample < manySamples; sample += 1) {
    await sleep(500)
    missing = many
    const told = new Promise<void>((resolve) => (all = resolve))
    const sentAt = await update('fleet')
    await told
    together.push(machineMs() - sentAt)
  }
  const [p50, bare50] = [percentile(ours, 50), percentile(theirs, 50)]
  return [
    { what: 'p50', unit: 'ms', measured: p50, baseline: bare50 },
    { what: 'p99', unit: 'ms', measured: percentile(ours, 99), baseline: percentile(theirs, 99) },
    { what: 'p50 over the bare', unit: 'ms', measured: p50 - bare50, aim: { of: 'measured', most: 3 } },
    {
      what: `${many} live queries`,
      unit: 'ms',
      measured: percentile(together, 50),
      aim: { of: 'measured', most: 250 },
    },
  ]
}
