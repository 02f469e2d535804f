import type { AssignsInput } from './programs/http-callers.ts'
import type { ManagersInput } from './programs/managers.ts'
import type { ClaimsInput, SqlCallersInput } from './programs/sql-callers.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import type { CrowdResult } from './support/callers.ts'
import { certifyManagers } from './support/certificates.ts'
import { jwtSecret, startBenchDaemon } from './support/daemon.ts'
import type { BenchDatabase } from './support/database.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'
import { startProgram } from './support/programs.ts'
import { percentile } from './support/statistics.ts'

const callers = 16
const warmUps = 500
/** In each round; one bare round before the rounds over HTTP, and one after, since a daemon at its side slows it. */
const calls = 2_000
const hosts = 100
const agentsPerHost = 60
const httpRegion = 'bench/http'
const sqlRegion = 'bench/sql'

export const assign: Benchmark = {
  name: 'assign',
  about: `assigns over HTTP by ${callers} callers, against a bare SQL loop of the same claim by as many`,
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const closers: (() => Promise<unknown>)[] = [() => database.drop()]
    try {
      for (const regionId of [httpRegion, sqlRegion]) {
        await seedFleet(database, {
          regionId,
          provider: 'fake',
          hosts,
          agentsPerHost,
          targetFreeAgents: 0,
          minHosts: hosts,
        })
      }
      return await measure(context, database, closers)
    } finally {
      for (const close of closers.reverse()) await close()
    }
  },
}

async function measure(
  context: BenchContext,
  database: BenchDatabase,
  closers: (() => Promise<unknown>)[],
): Promise<readonly Figure[]> {
  const claims = await startCaller('sql-callers', closers)
  await claims.call('connect', { url: database.url, callers } satisfies SqlCallersInput)
  const assigns = await startCaller('http-callers', closers)

  const bareRound = async (users: string, count: number): Promise<CrowdResult> => {
    const [lease] = await database.sql(`select fence from fleet.take_lease('bench', 600)`)
    const fence = Number(lease?.['fence'])
    const input = { regionId: sqlRegion, fence, calls: count, users } satisfies ClaimsInput
    const result = await claims.call<CrowdResult>('claim', input)
    await database.sql(`select 1 from fleet.release_lease('bench', $1)`, [fence])
    return result
  }
  context.progress(`${calls} bare claims`)
  await bareRound('warm-up', warmUps)
  const before = await bareRound('before', calls)

  const hostIds = Array.from({ length: hosts }, (_, index) => `${httpRegion}/h${index + 1}`)
  const identities = await certifyManagers(database, hostIds)
  const daemon = await startBenchDaemon(database.url, context)
  closers.push(() => daemon.stop())
  const managers = await startCaller('managers', closers)
  const whom = { port: daemon.managerPort, agentsPerHost, ...identities }
  await managers.call('connect', whom satisfies ManagersInput)
  const round = (users: string, count: number): Promise<CrowdResult> => {
    const whom = { apiUrl: daemon.apiUrl, jwtSecret, callers, regionId: httpRegion }
    return assigns.call<CrowdResult>('assign', { ...whom, calls: count, users } satisfies AssignsInput)
  }
  await round('warm-up', warmUps)
  context.progress(`${2 * calls} assigns over HTTP`)
  const ours = [await round('first', calls), await round('second', calls)]
  await daemon.stop()
  context.progress(`${calls} bare claims`)
  const theirs = [before, await bareRound('after', calls)]

  return [
    {
      what: 'assigns',
      unit: '/s',
      measured: mean(ours),
      baseline: mean(theirs),
      aim: { of: 'ratio', least: 0.3 },
    },
    { what: 'p50', unit: 'ms', measured: percentileOf(ours, 50), baseline: percentileOf(theirs, 50) },
    { what: 'p99', unit: 'ms', measured: percentileOf(ours, 99), baseline: percentileOf(theirs, 99) },
  ]
}

async function startCaller(name: string, closers: (() => Promise<unknown>)[]) {
  const caller = await startProgram(`${import.meta.dirname}/programs/${name}.ts`)
  closers.push(() => caller.stop())
  return caller
}

const mean = (results: readonly CrowdResult[]): number =>
  results.reduce((sum, { perSecond }) => sum + perSecond, 0) / results.length

const percentileOf = (results: readonly CrowdResult[], percent: number): number =>
  percentile(
    results.flatMap(({ samples }) => samples),
    percent,
  )
