import { readFileSync } from 'node:fs'

import { authorityFiles } from '../test/support/an-authority.ts'
import type { IdleInput } from './programs/idle-managers.ts'
import type { BenchContext, Benchmark, Figure } from './support/benchmark.ts'
import type { Identities } from './support/certificates.ts'
import { certifyManagers } from './support/certificates.ts'
import { adminSecret, startBenchDaemon } from './support/daemon.ts'
import type { BenchDatabase } from './support/database.ts'
import { createBenchDatabase } from './support/database.ts'
import type { Program } from './support/programs.ts'
import { startProgram } from './support/programs.ts'
import { machineMs, percentile } from './support/statistics.ts'

/** MUSTER_BENCH_MANAGERS: fewer, for a quick look. */
const managers = Number(process.env['MUSTER_BENCH_MANAGERS'] ?? 10_000)
const oneByOne = Math.min(100, Math.ceil(managers / 10))
const bareOnes = Math.min(2_000, managers)
const megabyte = 1024 * 1024

export const trust: Benchmark = {
  name: 'trust',
  about: `${managers} idle managers by mutual TLS in one daemon: memory, handshakes, and how soon a revoked one is closed`,
  run: async (context) => {
    const database = await createBenchDatabase(context.clusterUrl)
    const closers: (() => Promise<unknown>)[] = [() => database.drop()]
    try {
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
  context.progress(`${managers} certificates`)
  const ids = Array.from({ length: managers }, (_, index) => `backend-${index}`)
  const identities = await certifyManagers(database, ids)
  const bare = await measureBare(context, identities, closers)

  const daemon = await startBenchDaemon(database.url, context, {
    MUSTER_MANAGER_HANDSHAKES: '10000',
    MUSTER_MANAGER_ACCEPT_RATE: '100000',
    MUSTER_HEARTBEAT_S: '60',
  })
  closers.push(() => daemon.stop())
  const memoryBefore = residentOf(daemon.pid)
  context.progress(`${managers} managers`)
  const clients: Program[] = []
  for (let half = 0; half < 2; half += 1) {
    const client = await startProgram(`${import.meta.dirname}/programs/idle-managers.ts`)
    closers.push(() => client.stop())
    clients.push(client)
  }
  const startedAt = machineMs()
  await Promise.all(
    clients.map((client, half) => {
      const mine = identities.identities.filter((_, index) => index % 2 === half)
      const input: IdleInput = { ...identities, identities: mine, port: daemon.managerPort, isManager: true }
      return client.call('connect', input)
    }),
  )
  const connectMs = machineMs() - startedAt
  const memory = residentOf(daemon.pid)

  context.progress(`${oneByOne} revocations, one by one`)
  const single: number[] = []
  for (let index = 0; index < oneByOne; index += 1) {
    const { backendId, serial } = identities.identities[index * 2] ?? { backendId: '', serial: '' }
    const sentAt = machineMs()
    const answer = fetch(`${daemon.apiUrl}/v1/backends/${backendId}/certificates/${serial}/revoke`, {
      method: 'POST',
      headers: { 'x-muster-admin-secret': adminSecret, 'content-type': 'application/json' },
      body: '{}',
    })
    const [closedAt = 0] = (await clients[0]?.call<number[]>('closed', [backendId])) ?? []
    single.push(closedAt - sentAt)
    const { ok, status } = await answer
    if (!ok) throw new Error(`a revocation was answered by ${status}`)
  }
  context.progress('all others at once')
  const sentAt = machineMs()
  const written = database.sql(
    `update fleet.backends set status = 'TERMINATED', reason = 'user' where status = 'ENABLED'`,
  )
  const closed = await Promise.all(
    clients.map((client, half) =>
      client.call<number[]>(
        'closed',
        ids.filter((_, index) => index % 2 === half),
      ),
    ),
  )
  await written
  const allMs = Math.max(...closed.flat()) - sentAt

  return [
    {
      what: 'p99 from the call to the closed socket, one of all',
      unit: 'ms',
      measured: percentile(single, 99),
      aim: { of: 'measured', most: 100 },
    },
    { what: 'from the statement to the last closed socket, all at once', unit: 'ms', measured: allMs },
    {
      what: 'managers let in',
      unit: '/s',
      measured: (managers / connectMs) * 1000,
      baseline: bare.perSecond,
      against: 'bare TLS handshakes',
    },
    {
      what: 'memory of the daemon with all of them',
      unit: 'MB',
      measured: memory / megabyte,
      aim: { of: 'measured', most: 1000 },
    },
    {
      what: 'memory of one',
      unit: 'MB',
      measured: (memory - memoryBefore) / managers / megabyte,
      baseline: bare.bytesEach / megabyte,
      against: 'a bare TLS connection',
    },
  ]
}

async function measureBare(
  context: BenchContext,
  identities: Identities,
  closers: (() => Promise<unknown>)[],
): Promise<{ readonly perSecond: number; readonly bytesEach: number }> {
  context.progress(`${bareOnes} bare TLS connections`)
  const server = await startProgram(`${import.meta.dirname}/programs/bare-tls.ts`)
  closers.push(() => server.stop())
  const client = await startProgram(`${import.meta.dirname}/programs/idle-managers.ts`)
  const { fleetId } = identities
  const port = await server.call<number>('start', { files: await authorityFiles(), fleetId })
  const before = await server.call<number>('memory')
  const startedAt = machineMs()
  const input: IdleInput = {
    ...identities,
    identities: identities.identities.slice(0, bareOnes),
    port,
    isManager: false,
  }
  await client.call('connect', input)
  const ms = machineMs() - startedAt
  const bytes = (await server.call<number>('memory')) - before
  await client.stop()
  return { perSecond: (bareOnes / ms) * 1000, bytesEach: bytes / bareOnes }
}

/** Bytes. */
function residentOf(pid: number): number {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}
