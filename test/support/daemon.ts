/**
 * The daemon as its users have it: the real program in a process of its own, on free ports, with its own data
 * directory, spoken to over HTTP, GraphQL and SQL.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SignJWT } from 'jose'
import { expect, inject } from 'vitest'

import { stopAllHosts } from '../../host-handlers/local/handler.ts'
import type { HostProcess } from '../../host-handlers/local/host-processes.ts'
import { findHostProcesses } from '../../host-handlers/local/host-processes.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { authoritySettings } from './an-authority.ts'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { freshDatabase } from './fresh-database.ts'
import { endpointTiming } from './thoroughness.ts'

export interface DaemonOptions {
  /** PostgreSQL; without it the built-in database. */
  readonly databaseUrl?: string
  readonly environment?: Readonly<Record<string, string>>
  /** Share another daemon's data directory: a second one on the same machine. */
  readonly dataDir?: string
  /** Resolve once `/readyz` is 200 (default), once HTTP answers, or at once: for a daemon that ends before it may answer. */
  readonly until?: 'ready' | 'alive' | 'spawned'
}

export interface Answer<T = Record<string, unknown>> {
  readonly status: number
  readonly body: T
  readonly headers: Headers
}

export const adminSecret = 'admin-secret-of-the-tests'
const jwtSecret = 'jwt-secret-of-the-tests-jwt-secret'

// Deadlines in seconds rather than minutes, so that a test need not wait for a user's patience.
const quick = {
  MUSTER_HEARTBEAT_S: '0.5',
  MUSTER_TICK: '* * * * * *',
  MUSTER_SWEEP_S: '2',
  MUSTER_SWEEP_GRACE_S: '2',
  MUSTER_SWEEP_MISSING_S: '2',
  MUSTER_LEASE_S: '5',
  LOG_LEVEL: 'info',
}

/** For a daemon that is killed and started again: the next one waits for the rest of its lease. */
export const shortLease = { MUSTER_LEASE_S: '2' }

export class Daemon {
  readonly dataDir: string
  readonly apiUrl: string
  readonly graphqlUrl: string
  readonly #environment: Record<string, string>
  readonly #ownsData: boolean
  #process: ChildProcess | undefined
  #output = ''

  constructor(ports: { api: number; graphql: number; managers: number }, options: DaemonOptions) {
    this.#ownsData = options.dataDir === undefined
    this.dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'muster-daemon-'))
    if (this.#ownsData && options.databaseUrl === undefined) {
      cpSync(inject('pgliteTemplate'), join(this.dataDir, 'pglite'), { recursive: true })
    }
    this.apiUrl = `http://127.0.0.1:${ports.api}`
    this.graphqlUrl = `http://127.0.0.1:${ports.graphql}/v1/graphql`
    this.#environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      ...quick,
      PORT: `${ports.api}`,
      MUSTER_GRAPHQL_PORT: `${ports.graphql}`,
      MUSTER_MANAGER_PORT: `${ports.managers}`,
      MUSTER_DATA_DIR: this.dataDir,
      MUSTER_GRAPHQL_TIMING: endpointTiming,
      HASURA_GRAPHQL_ADMIN_SECRET: adminSecret,
      MUSTER_JWT_SECRET: jwtSecret,
      MUSTER_FLEET_KEY: 'fleet-key-of-the-tests-fleet-key-of',
      ...(options.databaseUrl === undefined ? {} : { DATABASE_URL: options.databaseUrl }),
      ...options.environment,
    }
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** What a command needs to be this daemon's. */
  async environment(): Promise<Readonly<Record<string, string>>> {
    const { DATABASE_URL: url, HASURA_GRAPHQL_ENDPOINT: hasura } = this.#environment
    const authority = url === undefined && hasura === undefined ? {} : await authoritySettings()
    return { ...authority, ...this.#environment }
  }

  /** Everything that this daemon has printed, for a failing test. */
  get output(): string {
    return this.#output
  }

  get hasExited(): boolean {
    return this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** Start it, or start it again: same ports, same data. `environment` is for this start only. */
  async start(
    until: 'ready' | 'alive' | 'spawned' = 'ready',
    environment: Record<string, string> = {},
  ): Promise<void> {
    const child = spawn(process.execPath, ['src/main.ts', 'run'], {
      env: { ...(await this.environment()), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    for (const stream of [child.stdout, child.stderr]) {
      stream
        .setEncoding('utf8')
        .on('data', (text: string) => (this.#output = (this.#output + text).slice(-200_000)))
    }
    if (until === 'spawned') return
    const state = await eventually(
      async () => {
        if (this.hasExited) return 'ended'
        const { status } = await this.get(until === 'ready' ? '/readyz' : '/healthz')
        return status === 200
      },
      { everyMs: 25, what: `the daemon is ${until}` },
    )
    if (state === 'ended') throw new Error(`the daemon ended:\n${this.#output}`)
  }

  /** Resolves with the exit code, or the signal, once the process has ended. */
  async exit(): Promise<number | NodeJS.Signals> {
    const child = this.#process
    if (child !== undefined && !this.hasExited) await once(child, 'exit')
    return child?.exitCode ?? child?.signalCode ?? 0
  }

  async signal(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    if (!this.hasExited) this.#process?.kill(signal)
    return this.exit()
  }

  /** Stop everything and remove it: the daemon, its hosts, its data. */
  async dispose(): Promise<void> {
    await this.signal('SIGKILL')
    if (!this.#ownsData) return
    await stopAllHosts({ below: this.dataDir, clock: systemClock, signal: AbortSignal.timeout(100_000) })
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  async fetch<T = Record<string, unknown>>(path: string, init: RequestInit = {}): Promise<Answer<T>> {
    const response = await fetch(`${this.apiUrl}${path}`, { signal: AbortSignal.timeout(100_000), ...init })
    const text = await response.text()
    let body: unknown = text
    try {
      body = JSON.parse(text)
    } catch {
      // Metrics are no JSON.
    }
    return { status: response.status, body: body as T, headers: response.headers }
  }

  /** As the operator. */
  get<T = Record<string, unknown>>(path: string): Promise<Answer<T>> {
    return this.fetch<T>(path, { headers: { 'x-muster-admin-secret': adminSecret } })
  }

  async post<T = Record<string, unknown>>(
    path: string,
    options: { user?: string; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Answer<T>> {
    const { user, body, headers, signal } = options
    return this.fetch<T>(path, {
      method: 'POST',
      headers: {
        ...(user === undefined
          ? { 'x-muster-admin-secret': adminSecret }
          : { authorization: `Bearer ${await tokenOf(user)}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  assign(user: string, options: { regions?: string[]; key?: string; waitMs?: number } = {}) {
    return this.post<AssignBody>('/v1/assign', {
      user,
      body: {
        regions: options.regions ?? ['local/demo'],
        ...(options.waitMs === undefined ? {} : { wait_ms: options.waitMs }),
      },
      ...(options.key === undefined ? {} : { headers: { 'idempotency-key': options.key } }),
    })
  }

  /** An agent for the user, or a failing test. */
  async seat(user: string, options: { waitMs?: number } = {}): Promise<AssignBody> {
    const { status, body } = await this.assign(user, options)
    expect({ status, code: body.code }, this.output.slice(-3000)).toEqual({ status: 200, code: undefined })
    return body
  }

  async graphql<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
    const response = await fetch(this.graphqlUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-hasura-admin-secret': adminSecret },
      body: JSON.stringify({ query, variables }),
    })
    const answer = (await response.json()) as { data?: T; errors?: unknown }
    if (answer.data === undefined) throw new Error(`GraphQL: ${JSON.stringify(answer.errors)}`)
    return answer.data
  }

  /** Hosts that have not ended, with their agents, by the database. */
  async hosts(): Promise<readonly HostRow[]> {
    const { fleet_hosts: hosts } = await this.graphql<{ fleet_hosts: readonly HostRow[] }>(
      `query { fleet_hosts(where: {status: {_neq: "TERMINATED"}}, order_by: {id: asc}) {
        id status cloud_id reason agents(order_by: {id: asc}) { id status port user_id session_id }
      } }`,
    )
    return hosts
  }

  /** WAITING agents on ACTIVE hosts. */
  async free(): Promise<readonly HostRow['agents'][number][]> {
    return freeOf(await this.hosts())
  }

  /** Wait until the buffer is full, with less than a host's seats too many, and nothing is under way. */
  async untilFree(count: number): Promise<void> {
    const seatsPerHost = 2
    await eventually(
      async () => {
        const hosts = await this.hosts()
        const free = freeOf(hosts).length
        const isSettled = hosts.every((host) => host.status === 'ACTIVE' || host.status === 'UNRESPONSIVE')
        expect({ free, isSettled }, this.output.slice(-3000)).toEqual({
          free: expect.toSatisfy((n: number) => n >= count && n < count + seatsPerHost) as number,
          isSettled: true,
        })
        return true
      },
      { everyMs: 50, what: `${count} free agents and nothing on its way` },
    )
  }

  setRegion(set: Record<string, unknown>): Promise<unknown> {
    return this.graphql(
      'mutation ($set: fleet_regions_set_input!) { update_fleet_regions_by_pk(pk_columns: {id: "local/demo"}, _set: $set) { id } }',
      { set },
    )
  }

  /** What really runs on this machine of this daemon's hosts, by host. */
  async processes(): Promise<ReadonlyMap<string, readonly HostProcess[]>> {
    const found = (await findHostProcesses()).filter((one) => one.directory.startsWith(this.dataDir))
    return Map.groupBy(found, (one) => one.cloudId)
  }

  async decisions(
    query: string,
  ): Promise<readonly { kind: string; target: string | null; reason: string; repeats: number }[]> {
    const { body } = await this.get<{ decisions: never[] }>(`/v1/decisions?${query}`)
    return body.decisions
  }
}

export interface AssignBody {
  readonly agent_id: string
  readonly host_id: string
  readonly region: string
  readonly address: string
  readonly port: number
  readonly session_id: string
  readonly code?: string
}

export interface HostRow {
  readonly id: string
  readonly status: string
  readonly cloud_id: string | null
  readonly reason: string | null
  readonly agents: readonly {
    readonly id: string
    readonly status: string
    readonly port: number
    readonly user_id: string | null
    readonly session_id: string | null
  }[]
}

function freeOf(hosts: readonly HostRow[]): readonly HostRow['agents'][number][] {
  return hosts
    .filter((host) => host.status === 'ACTIVE')
    .flatMap((host) => host.agents.filter((agent) => agent.status === 'WAITING'))
}

/** Start a daemon of the test's own; dispose of it in `afterAll` or `afterEach`. */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const [api, graphql, managers] = [await freePort(), await freePort(), await freePort()]
  const daemon = new Daemon({ api, graphql, managers }, options)
  try {
    await daemon.start(options.until ?? 'ready')
  } catch (error) {
    await daemon.dispose()
    throw error
  }
  return daemon
}

export async function tokenOf(user: string, claims: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(jwtSecret))
}

export interface DataPath {
  readonly name: 'PGlite' | 'PostgreSQL'
  /** A database of its own, to be dropped. */
  readonly open: () => Promise<{ readonly url: string | undefined; drop(): Promise<void> }>
}

/** Both ways to have a database: every test of the daemon runs on each, but those that say why not. */
export const dataPaths: readonly DataPath[] = [
  { name: 'PGlite', open: async () => ({ url: undefined, drop: () => Promise.resolve() }) },
  { name: 'PostgreSQL', open: freshDatabase },
]
