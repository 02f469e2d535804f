/** The real daemon in a process of its own, on a benchmark's database. */
import { fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { authoritySettings } from '../../test/support/an-authority.ts'
import { eventually } from '../../test/support/eventually.ts'
import { freePort } from '../../test/support/free-port.ts'
import type { BenchContext } from './benchmark.ts'
import { keepTrackOf } from './programs.ts'

export const adminSecret = 'admin-secret-of-the-benchmarks'
export const jwtSecret = 'jwt-secret-of-the-benchmarks-32-characters'

export interface BenchDaemon {
  readonly apiUrl: string
  readonly managerPort: number
  readonly pid: number
  /** Calls back for each message of a plugin inside the daemon. */
  onMessage(listener: (message: unknown) => void): void
  /** Ends it as a user would, so that it gives its lease back. */
  stop(): Promise<void>
}

export async function startBenchDaemon(
  databaseUrl: string,
  { profileDir }: BenchContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<BenchDaemon> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-bench-'))
  const removeDirectory = (): void => rmSync(directory, { recursive: true, force: true })
  process.once('exit', removeDirectory)
  const [api, graphql, managers] = [await freePort(), await freePort(), await freePort()]
  const logPath = join(directory, 'log')
  const log = openSync(logPath, 'w')
  const child = fork(join(import.meta.dirname, '../../src/main.ts'), ['run'], {
    cwd: directory,
    env: {
      PATH: process.env['PATH'],
      PORT: `${api}`,
      MUSTER_GRAPHQL_PORT: `${graphql}`,
      MUSTER_MANAGER_PORT: `${managers}`,
      MUSTER_DATA_DIR: directory,
      DATABASE_URL: databaseUrl,
      HASURA_GRAPHQL_ADMIN_SECRET: adminSecret,
      MUSTER_JWT_SECRET: jwtSecret,
      MUSTER_FLEET_KEY: 'fleet-key-of-the-benchmarks-fleet-key',
      ...(await authoritySettings()),
      MUSTER_SEED: 'none',
      // Seeded machines are in nobody's cloud.
      MUSTER_SWEEP_S: '86400',
      ...settings,
    },
    execArgv: profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    stdio: ['ignore', 'ignore', log, 'ipc'],
  })
  closeSync(log)
  const end = keepTrackOf(child, 'the daemon', () => readFileSync(logPath, 'utf8').slice(-3_000))
  const apiUrl = `http://127.0.0.1:${api}`
  await eventually(async () => (await fetch(`${apiUrl}/readyz`)).ok, {
    timeoutMs: 60_000,
    everyMs: 50,
    what: 'the daemon is ready',
  })
  return {
    apiUrl,
    managerPort: managers,
    pid: child.pid ?? 0,
    onMessage: (listener) => void child.on('message', listener),
    stop: async () => {
      await end('SIGTERM')
      process.off('exit', removeDirectory)
      removeDirectory()
    },
  }
}
