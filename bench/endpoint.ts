import type { ConnectInput, HttpInput, SqlInput } from './programs/query-callers.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import type { CrowdResult } from './support/callers.ts'
import type { BenchDatabase } from './support/database.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import type { Program } from './support/programs.ts'
import { startProgram } from './support/programs.ts'
import { percentile } from './support/statistics.ts'

const adminSecret = 'admin-secret-of-the-benchmarks'
const callers = 16
/** Of each kind, in turns, so that a machine's moods meet both. */
const rounds = 5
const queriesInRound = 4_000
const mutationsInRound = 200
/** A daemon's code has long been compiled when it matters. */
const warmUps = { queries: 24_000, mutations: 500 }
/** As long as what the queries are answered with. */
const constantAnswer = JSON.stringify({ data: { fleet_hosts_by_pk: 'x'.repeat(200) } })
const regions = Array.from({ length: callers }, (_, index) => `bench/r${index}`)

const hostColumns = ['id', 'region_id', 'status', 'version', 'address', 'capacity', 'created_at', 'revision']
const select = {
  query: `query ($id: String!) { fleet_hosts_by_pk(id: $id) { ${hostColumns.join(' ')} } }`,
  sql: `select (select row_to_json(x) as o from (select ${hostColumns.map((name) => `t0."${name}" as "${name}"`).join(', ')}
    from "fleet"."hosts" as t0 where (t0."id" = $1::text) limit 1) as x)::text`,
  parameters: [],
  keys: regions.map((id) => `${id}/h1`),
} as const
const update = {
  query: `mutation ($id: String!) {
    update_fleet_regions_by_pk(pk_columns: {id: $id}, _inc: {target_free_agents: 1}) { id target_free_agents }
  }`,
  sql: `with m as (update "fleet"."regions" as t0 set "target_free_agents" = t0."target_free_agents" + ($1::text)::integer
    where (t0."id" = $2::text) returning t0.*) select (select row_to_json(x) as o from
    (select t1."id" as "id", t1."target_free_agents" as "target_free_agents" from m as t1 limit 1) as x)::text`,
  parameters: ['1'],
  keys: regions,
} as const

export const endpoint: Benchmark = {
  name: 'endpoint',
  about: `the endpoint's queries and mutations by primary key, against bare pg running the same SQL`,
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const closers: (() => Promise<unknown>)[] = [() => database.drop()]
    try {
      for (const regionId of regions) {
        const none = { targetFreeAgents: 0, minHosts: 0, agentsPerHost: 0 }
        await seedFleet(database, { regionId, provider: 'static', hosts: 1, ...none })
      }
      return await measure(context, database, closers)
    } finally {
      for (const close of closers.reverse()) await close()
    }
  },
}

async function measure(
  context: BenchContext,
  { url }: BenchDatabase,
  closers: (() => Promise<unknown>)[],
): Promise<readonly Figure[]> {
  const served = await startProgram(`${import.meta.dirname}/programs/endpoint.ts`)
  closers.push(() => served.call('end').then(() => served.stop()))
  const endpointUrl = await served.call<string>('start', { url, adminSecret })
  const program = await startProgram(`${import.meta.dirname}/programs/query-callers.ts`)
  closers.push(() => program.stop())
  const constant = await startProgram(`${import.meta.dirname}/programs/constant-server.ts`)
  closers.push(() => constant.stop())
  const constantUrl = await constant.call<string>('start', constantAnswer)
  const connect = { endpointUrl, constantUrl, adminSecret, databaseUrl: url, callers } satisfies ConnectInput
  await program.call('connect', connect)

  const compare = async (
    what: typeof select | typeof update,
    crowdSize: number,
    calls: number,
    warmUp: number,
  ) => {
    if (warmUp > 0) await round(program, what, crowdSize, warmUp)
    const results = []
    for (let turn = 0; turn < rounds; turn += 1) results.push(await round(program, what, crowdSize, calls))
    return {
      ours: results.map(({ http }) => http),
      theirs: results.map(({ sql }) => sql),
      ceiling: results.map(({ constant: answered }) => answered),
    }
  }
  context.progress(`${rounds * queriesInRound} queries by ${callers} callers, and as many bare`)
  const queries = await compare(select, callers, queriesInRound, warmUps.queries)
  context.progress(`${rounds * mutationsInRound} mutations by one caller, and as many bare`)
  const alone = await compare(select, 1, queriesInRound / 4, 0)
  const mutations = await compare(update, 1, mutationsInRound, warmUps.mutations)
  return [
    {
      what: `queries, ${callers} callers`,
      unit: '/s',
      measured: meanRate(queries.ours),
      baseline: meanRate(queries.theirs),
      aim: { of: 'ratio', least: 0.5 },
    },
    {
      what: `HTTP alone, ${callers} callers`,
      unit: '/s',
      measured: meanRate(queries.ceiling),
      baseline: meanRate(queries.theirs),
    },
    {
      what: 'queries, one caller',
      unit: '/s',
      measured: meanRate(alone.ours),
      baseline: meanRate(alone.theirs),
    },
    {
      what: 'HTTP alone, one caller',
      unit: '/s',
      measured: meanRate(alone.ceiling),
      baseline: meanRate(alone.theirs),
    },
    ...([50, 99] as const).map((percent): Figure => ({
      what: `mutation p${percent}`,
      unit: 'ms',
      measured: percentileOf(mutations.ours, percent),
      baseline: percentileOf(mutations.theirs, percent),
    })),
  ]
}

async function round(
  program: Program,
  { query, sql, parameters, keys }: typeof select | typeof update,
  crowdSize: number,
  calls: number,
): Promise<{ readonly http: CrowdResult; readonly constant: CrowdResult; readonly sql: CrowdResult }> {
  const common = { callers: crowdSize, calls, keys }
  return {
    http: await program.call<CrowdResult>('http', { ...common, query } satisfies HttpInput),
    constant: await program.call<CrowdResult>('constant', { ...common, query } satisfies HttpInput),
    sql: await program.call<CrowdResult>('sql', { ...common, sql, parameters } satisfies SqlInput),
  }
}

const meanRate = (results: readonly CrowdResult[]): number =>
  results.reduce((sum, { perSecond }) => sum + perSecond, 0) / results.length

const percentileOf = (results: readonly CrowdResult[], percent: number): number =>
  percentile(
    results.flatMap(({ samples }) => samples),
    percent,
  )
