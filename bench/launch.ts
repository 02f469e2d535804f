/** 500 hosts in one decision: how many calls that is, and how long until every row has its machine. */
import pg from 'pg'

import { eventually } from '../test/support/eventually.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import { startBenchDaemon } from './support/daemon.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import { recordingProvider } from './support/recording-provider.ts'
import { machineMs, percentile } from './support/statistics.ts'

const hosts = 500
const hostsOfCall = 50
const rounds = 5

const bareHosts = `create table bare.hosts (id text primary key, launch_id text not null, cloud_id text, status text not null)`

export const launch: Benchmark = {
  name: 'launch',
  about:
    '500 hosts in one decision, from the UPDATE to the last machine bound, against the same rows written bare',
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const client = new pg.Client({ connectionString: database.url })
    try {
      await client.connect()
      for (let round = 0; round < rounds; round += 1) {
        await seedFleet(database, {
          regionId: `bench/launch-${round}`,
          provider: recordingProvider,
          hosts: 0,
          agentsPerHost: 0,
          targetFreeAgents: 0,
          minHosts: 0,
        })
      }
      await client.query('create schema bare')
      await client.query(bareHosts)
      return await measure(context, database.url, client)
    } finally {
      await client.end()
      await database.drop()
    }
  },
}

async function measure(context: BenchContext, url: string, client: pg.Client): Promise<readonly Figure[]> {
  const daemon = await startBenchDaemon(url, context)
  try {
    let calls = 0
    daemon.onMessage(() => (calls += 1))
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      context.progress(`${hosts} hosts, round ${round + 1} of ${rounds}`)
      ours.push(await throughMuster(client, `bench/launch-${round}`))
      theirs.push(await throughBare(client, round))
    }
    return [
      {
        what: 'calls of the provider',
        unit: '×',
        measured: calls / rounds,
        baseline: hosts,
        against: 'one call a host',
        aim: { of: 'measured', most: hosts / hostsOfCall },
      },
      { what: 'p50', unit: 'ms', measured: percentile(ours, 50), baseline: percentile(theirs, 50) },
    ]
  } finally {
    await daemon.stop()
  }
}

async function throughMuster(client: pg.Client, regionId: string): Promise<number> {
  const sentAt = machineMs()
  await client.query('update fleet.regions set target_free_agents = $2 where id = $1', [regionId, hosts])
  const bound = `select count(*)::integer as count from fleet.hosts where region_id = $1 and cloud_id is not null`
  await eventually(
    async () => (await client.query<{ count: number }>(bound, [regionId])).rows[0]?.count === hosts,
    { timeoutMs: 60_000, everyMs: 10, what: 'every host has its machine' },
  )
  return machineMs() - sentAt
}

/** One transaction for the decision's rows, and one for each call's answer. */
async function throughBare(client: pg.Client, round: number): Promise<number> {
  const sentAt = machineMs()
  await client.query(
    `insert into bare.hosts select $1 || ':' || n, $1 || ':' || n / ${hostsOfCall}, null, 'LAUNCHING'
      from generate_series(0, $2::integer - 1) n`,
    [String(round), hosts],
  )
  for (let call = 0; call < hosts / hostsOfCall; call += 1) {
    await client.query(
      `update bare.hosts set cloud_id = 'm-' || id, status = 'PRE_CONNECTION' where launch_id = $1`,
      [`${round}:${call}`],
    )
  }
  return machineMs() - sentAt
}
