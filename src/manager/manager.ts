import { join } from 'node:path'

import type { BackoffOptions } from '../lib/backoff.ts'
import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import { noFaults } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import { hostFiles } from '../model/manager-spec.ts'
import type { ManagerSpec } from '../model/manager-spec.ts'
import type { InterruptionNotice } from '../model/interruption.ts'
import type { FromManager, Hello, Welcome } from '../muster-v1/messages.ts'
import { claimHost } from './claim.ts'
import type { DaemonAccess } from './daemon-access.ts'
import { createDaemonAccess } from './daemon-access.ts'
import { DaemonConnection } from './daemon-connection.ts'
import type { DaemonWish } from './daemon-connection.ts'
import { FailedEnds } from './failed-ends.ts'
import { readDaemonAddresses, readManagerSpec } from './host-directory.ts'
import { endLeftoverAgents, hostDirectoryVariable } from './leftover-agents.ts'
import { lockMachine } from './machine-lock.ts'
import { readPlatformInfo } from './platform-info.ts'
import { watchMetadata } from './metadata-watch.ts'
import { processRuntime } from './process-runtime.ts'
import type { SeatTiming } from './seat.ts'
import { Seats } from './seats.ts'

/**
 * The program on a host. It keeps the agents running and tells the daemon; the daemon says which of them are to serve
 * whom. Whatever happens to the daemon or the wire, agents go on: only a word of the daemon, the end of their session
 * or the provider ends them.
 */
export interface ManagerOptions {
  /** The host's directory, holding `spec.json`. */
  readonly directory: string
  /** What the agents inherit. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  readonly clock?: Clock
  readonly random?: () => number
  readonly timing?: Partial<ManagerTiming>
  /** For crash tests. */
  readonly fault?: FaultPoint
}

/** Milliseconds, where not said otherwise. */
export interface ManagerTiming extends SeatTiming {
  readonly reconnect: BackoffOptions
  /** While a daemon is there that does not let us in. */
  readonly knock: BackoffOptions
  readonly welcomeTimeoutMs: number
  /** Between asking an agent's process to end and ending it. */
  readonly stopGraceMs: number
  /** How often the provider's notices are looked for, where the spec says where. */
  readonly metadataEveryMs: number
  readonly metadataTimeoutMs: number
}

const defaultTiming: ManagerTiming = {
  reconnect: { firstMs: 100, longestMs: 1000, jitter: 0.5 },
  knock: { firstMs: 200, longestMs: 10_000, jitter: 0.5 },
  welcomeTimeoutMs: 5000,
  startTimeoutMs: 30_000,
  sessionTimeoutMs: 5000,
  endGraceMs: 2000,
  stopGraceMs: 2000,
  metadataEveryMs: 5000,
  metadataTimeoutMs: 2000,
  restartFirstMs: 500,
  restartLongestMs: 30_000,
  steadyMs: 10_000,
  brokenAfter: 5,
}

/**
 * Runs until the daemon lets the host go, terminates or refuses it for ever, or `signal` is aborted; all agents have
 * ended then.
 *
 * @returns the exit code: 0, also when another manager has this launched host already; 1 when the daemon refuses or
 * terminates the host, or another manager runs in the directory of a machine that joined.
 * @throws MusterError `config-invalid` when the spec is wrong.
 */
export async function runManager(options: ManagerOptions, signal: AbortSignal): Promise<0 | 1> {
  const { directory, log } = options
  const spec = await readManagerSpec(directory)
  if (spec.launchId === null) return runJoined(options, spec, signal)
  if (!(await claimHost(directory))) {
    log.info({ directory }, 'another manager has this host')
    return 0
  }
  return new Manager(options, spec).run(signal)
}

/** A machine that nobody launched outlives its managers: each starts where the one before left off. */
async function runJoined(options: ManagerOptions, spec: ManagerSpec, signal: AbortSignal): Promise<0 | 1> {
  const { directory, log } = options
  const unlock = await lockMachine(directory)
  if (unlock === undefined) {
    log.error({ directory }, 'another manager runs in this directory')
    return 1
  }
  try {
    const ended = await endLeftoverAgents(directory)
    if (ended > 0) log.warn({ ended }, 'agents of an earlier manager were ended')
    const environment = { ...options.environment, [hostDirectoryVariable]: directory }
    return await new Manager({ ...options, environment }, spec).run(signal)
  } finally {
    unlock()
  }
}

class Manager {
  readonly #log: Logger
  readonly #spec: ManagerSpec
  readonly #measurementFile: string
  readonly #seats: Seats
  readonly #access: DaemonAccess
  readonly #connection: DaemonConnection
  readonly #watch: (signal: AbortSignal) => Promise<void>
  /** What the provider has said of the machine: the earliest of each kind. */
  readonly #notices = new Map<InterruptionNotice['kind'], InterruptionNotice>()
  readonly #ends = new FailedEnds()
  readonly #released = new AbortController()
  readonly #hangUp = new AbortController()
  readonly #emptied = Promise.withResolvers<undefined>()
  #hostId = ''
  #isDraining = false
  #terminatedFor: string | undefined

  constructor(options: ManagerOptions, spec: ManagerSpec) {
    const { directory, environment, log, clock = systemClock, random = Math.random } = options
    const { fault = noFaults } = options
    const timing = { ...defaultTiming, ...options.timing }
    const { reconnect, knock, welcomeTimeoutMs, stopGraceMs } = timing
    this.#log = log
    this.#spec = spec
    this.#measurementFile = spec.measurementFile ?? join(directory, hostFiles.measurement)
    const send = (message: FromManager): void => this.#connection.send(message)
    this.#access = createDaemonAccess({
      renewed: () => this.#connection.redial(),
      ...{ directory, spec, clock, random, log, send, fault },
    })
    this.#connection = new DaemonConnection({
      addresses: () => readDaemonAddresses(directory, spec),
      dial: (address, signal) => this.#access.dial(address, signal),
      hello: () => this.#hello(),
      capacity: () => this.#seats.capacity,
      welcomed: (welcome) => this.#welcomed(welcome),
      wished: (wish) => this.#obey(wish),
      closed: () => this.#access.closed(),
      ...{ clock, random, log, reconnect, knock, welcomeTimeoutMs },
    })
    this.#seats = new Seats({
      count: spec.agents,
      app: spec.app,
      runtime: processRuntime({ command: spec.agentCommand, environment, stopGraceMs, clock, log }),
      report: (state) => {
        this.#ends.note(state)
        send({ message: 'report', report: { agents: [state] } })
      },
      answer: (sessionTaken) => send({ message: 'sessionTaken', sessionTaken }),
      capacityChanged: (capacity) => send({ message: 'heartbeat', heartbeat: { capacity } }),
      emptied: () => {
        this.#emptied.resolve(undefined)
        this.#sayDrained()
      },
      ...{ clock, random, log, timing },
    })
    const { metadataEndpoint: endpoint } = spec
    const { metadataEveryMs: everyMs, metadataTimeoutMs: timeoutMs } = timing
    const noticed = (notice: InterruptionNotice): void => this.#noticed(notice)
    this.#watch = async (signal) => {
      if (endpoint === undefined) return
      await watchMetadata({ endpoint, everyMs, timeoutMs, noticed, clock, log }, signal)
    }
  }

  async run(signal: AbortSignal): Promise<0 | 1> {
    // The wire outlives the agents a little, so that their end is still reported.
    const stopped = aborted(AbortSignal.any([signal, this.#released.signal])).then(async () => {
      this.#seats.stop()
      await this.#emptied.promise
      this.#hangUp.abort()
    })
    this.#seats.start()
    const watched = this.#watch(this.#hangUp.signal)
    const refused = await this.#connection.run(this.#hangUp.signal)
    if (refused !== undefined) {
      const { code, message: reason } = refused
      this.#log.error({ hostId: this.#hostId, code, reason }, 'the daemon refuses this host')
      this.#released.abort()
    }
    await Promise.all([stopped, watched])
    if (this.#terminatedFor !== undefined) {
      this.#log.error({ hostId: this.#hostId }, `manager service terminated: ${this.#terminatedFor}`)
      return 1
    }
    return refused === undefined ? 0 : 1
  }

  #hello(): Hello {
    return {
      hostId: this.#hostId,
      address: this.#spec.address,
      capacity: this.#seats.capacity,
      version: this.#spec.version,
      agents: [...this.#seats.states, ...this.#ends.toTell()],
    }
  }

  #welcomed({ hostId }: Welcome): void {
    this.#hostId = hostId
    this.#ends.told()
    this.#log.info({ hostId, cloudId: this.#spec.cloudId }, 'connected')
    this.#access.welcomed()
    void this.#tellPlatform()
    for (const notice of this.#notices.values()) this.#tell(notice)
    this.#sayDrained()
  }

  /** At once to the agents, whether there is a daemon or not; to the daemon now and on each stream. */
  #noticed(notice: InterruptionNotice): void {
    const { kind, at, action } = notice
    const known = this.#notices.get(kind)
    if (known !== undefined && known.at <= at) return
    this.#notices.set(kind, notice)
    const until = new Date(at).toISOString()
    this.#log.warn({ hostId: this.#hostId, kind, at: until, action }, 'the provider takes this machine')
    if (kind === 'interruption') this.#seats.interrupted(at)
    this.#tell(notice)
  }

  #tell({ kind, at, action }: InterruptionNotice): void {
    const interruption = { kind: kind === 'rebalance' ? 'REBALANCE' : 'INTERRUPTION', at, action } as const
    this.#connection.send({ message: 'interruption', interruption })
  }

  #obey(wish: DaemonWish): void {
    switch (wish.message) {
      case 'startSession':
        this.#seats.startSession(wish.startSession)
        break
      case 'stopAgent':
        this.#seats.stopAgent(wish.stopAgent.agentId)
        break
      case 'drain':
        this.#isDraining = true
        this.#seats.drain(wish.drain.notifySessions)
        break
      case 'interruption':
        this.#noticed({ kind: 'interruption', at: wish.interruption.at, action: wish.interruption.action })
        break
      case 'leave':
        this.#log.info({ hostId: this.#hostId }, 'the daemon lets this host go')
        this.#released.abort()
        break
      case 'renewed':
        this.#access.heard(wish.renewed)
        break
      case 'askInfo':
        void this.#tellPlatform()
        break
      case 'terminated':
        this.#terminatedFor = wish.terminated.reason
        // There is nobody to report to any more.
        this.#hangUp.abort()
        this.#released.abort()
        break
    }
  }

  async #tellPlatform(): Promise<void> {
    const document = await readPlatformInfo({ measurementFile: this.#measurementFile, root: '/' })
    this.#connection.send({ message: 'info', info: { document } })
  }

  /** Said at each chance until the daemon answers with Leave. */
  #sayDrained(): void {
    if (this.#isDraining && this.#seats.isEmpty) this.#connection.send({ message: 'drained', drained: {} })
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
