/**
 * A real PostgreSQL of the test's own: a cluster in a temporary directory on a free loopback port, with `fsync` on as
 * anybody's would be unless told otherwise. Tests that stop the server start one for themselves; all others share the one of
 * global-setup.ts through fresh-database.ts.
 */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import pg from 'pg'

import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'

export interface Postgres {
  /** Of the database `postgres`. */
  readonly url: string
  readonly port: number
  /** `fast` ends connections and writes a checkpoint; `immediate` is as good as a crash. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
  /** After `stop`, on the same port. */
  start(): Promise<void>
  /** Stop and remove everything. */
  close(): Promise<void>
}

interface Owner {
  readonly uid?: number
  readonly gid?: number
}

/** Where `postgres` and `initdb` are; undefined when this machine has none. */
export function findPostgresBinaries(): string | undefined {
  const packaged = '/usr/lib/postgresql'
  const versions = isReadable(packaged) ? readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(packaged, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ]
  return folders.find((folder) => isReadable(join(folder, 'postgres')) && isReadable(join(folder, 'initdb')))
}

export interface PostgresOptions {
  /** false: writes are not flushed, for a server that no test stops; creating databases is many times faster so. */
  readonly isDurable?: boolean
}

/** @throws Error when PostgreSQL is not installed, or does not start */
export async function startPostgres({ isDurable = true }: PostgresOptions = {}): Promise<Postgres> {
  const binaries = findPostgresBinaries()
  if (binaries === undefined) {
    throw new Error('PostgreSQL is not installed: no `postgres` in /usr/lib/postgresql/*/bin or on PATH')
  }
  const owner = unprivilegedOwner()
  const directory = mkdtempSync(join(tmpdir(), 'muster-postgres-'))
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(directory, owner.uid, owner.gid)
  const data = join(directory, 'data')
  try {
    execFileSync(
      join(binaries, 'initdb'),
      ['-D', data, '-U', 'muster', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      { ...owner, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] },
    )
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }

  const port = await freePort()
  const url = `postgres://muster@127.0.0.1:${port}/postgres`
  let server: ChildProcess | undefined
  let log = ''

  const start = async () => {
    const child = spawn(
      join(binaries, 'postgres'),
      [
        ...['-D', data, '-p', `${port}`, '-h', '127.0.0.1', '-N', '200', '-c', 'unix_socket_directories='],
        // Its shared memory is in its directory, to go with it: a killed server removes nothing.
        ...['-c', 'dynamic_shared_memory_type=mmap'],
        ...(isDurable ? [] : ['-c', 'fsync=off', '-c', 'full_page_writes=off']),
      ],
      { ...owner, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    server = child
    log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-10_000)))
    await eventually(
      async () => {
        if (child.exitCode !== null) return 'ended'
        return (await answers(url)) ? 'answers' : undefined
      },
      { timeoutMs: 30_000, what: 'PostgreSQL answers' },
    )
    if (child.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${log}`)
  }
  const stop = async (mode: 'fast' | 'immediate') => {
    const child = server
    server = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await ended
  }
  // A test run that is cut short must leave no server behind, nor its files.
  const onExit = () => {
    server?.kill('SIGQUIT')
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
  const close = async () => {
    process.off('exit', onExit)
    await stop('immediate')
    rmSync(directory, { recursive: true, force: true })
  }

  process.on('exit', onExit)
  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return { url, port, stop, start, close }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** PostgreSQL refuses to run as root. */
function unprivilegedOwner(): Owner {
  if (process.getuid?.() !== 0) return {}
  for (const user of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // No such user: the next one.
    }
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`')
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
