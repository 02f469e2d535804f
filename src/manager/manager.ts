import type { BackoffOptions } from '../lib/backoff.ts'
import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ManagerSpec } from '../model/manager-spec.ts'
import type { FromManager, Hello, Welcome } from '../muster-v1/messages.ts'
import { claimHost } from './claim.ts'
import { DaemonConnection } from './daemon-connection.ts'
import type { DaemonWish } from './daemon-connection.ts'
import { hostKeyOf, readDaemonAddresses, readManagerSpec } from './host-directory.ts'
import { processRuntime } from './process-runtime.ts'
import type { SeatTiming } from './seat.ts'
import { Seats } from './seats.ts'
import { dialDaemon } from './transport.ts'

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
}

/** Milliseconds, where not said otherwise. */
export interface ManagerTiming extends SeatTiming {
  readonly reconnect: BackoffOptions
  readonly welcomeTimeoutMs: number
  /** Between asking an agent's process to end and ending it. */
  readonly stopGraceMs: number
}

const defaultTiming: ManagerTiming = {
  reconnect: { firstMs: 100, longestMs: 1000, jitter: 0.5 },
  welcomeTimeoutMs: 5000,
  startTimeoutMs: 30_000,
  sessionTimeoutMs: 5000,
  endGraceMs: 2000,
  stopGraceMs: 2000,
  restartFirstMs: 500,
  restartLongestMs: 30_000,
  steadyMs: 10_000,
  brokenAfter: 5,
}

/**
 * Runs until the daemon lets the host go, refuses it for ever, or `signal` is aborted; all agents have ended then.
 *
 * @returns the exit code: 0, also when another manager has this host already; 1 when the daemon refuses the host.
 * @throws MusterError `config-invalid` when the spec is wrong.
 */
export async function runManager(options: ManagerOptions, signal: AbortSignal): Promise<0 | 1> {
  const spec = await readManagerSpec(options.directory)
  if (!(await claimHost(options.directory))) {
    options.log.info({ directory: options.directory }, 'another manager has this host')
    return 0
  }
  return new Manager(options, spec, await hostKeyOf(options.directory)).run(signal)
}

class Manager {
  readonly #log: Logger
  readonly #spec: ManagerSpec
  readonly #hostKey: string
  readonly #seats: Seats
  readonly #connection: DaemonConnection
  readonly #released = new AbortController()
  readonly #emptied = Promise.withResolvers<undefined>()
  #hostId = ''
  #isDraining = false

  constructor(options: ManagerOptions, spec: ManagerSpec, hostKey: string) {
    const { directory, environment, log, clock = systemClock, random = Math.random } = options
    const timing = { ...defaultTiming, ...options.timing }
    const { reconnect, welcomeTimeoutMs, stopGraceMs } = timing
    this.#log = log
    this.#spec = spec
    this.#hostKey = hostKey
    this.#connection = new DaemonConnection({
      addresses: () => readDaemonAddresses(directory, spec),
      dial: dialDaemon,
      hello: () => this.#hello(),
      capacity: () => this.#seats.capacity,
      welcomed: (welcome) => this.#welcomed(welcome),
      wished: (wish) => this.#obey(wish),
      ...{ clock, random, log, reconnect, welcomeTimeoutMs },
    })
    const send = (message: FromManager): void => this.#connection.send(message)
    this.#seats = new Seats({
      count: spec.agents,
      app: spec.app,
      runtime: processRuntime({ command: spec.agentCommand, environment, stopGraceMs, clock, log }),
      report: (state) => send({ message: 'report', report: { agents: [state] } }),
      answer: (sessionTaken) => send({ message: 'sessionTaken', sessionTaken }),
      capacityChanged: (capacity) => send({ message: 'heartbeat', heartbeat: { capacity } }),
      emptied: () => {
        this.#emptied.resolve(undefined)
        this.#sayDrained()
      },
      ...{ clock, random, log, timing },
    })
  }

  async run(signal: AbortSignal): Promise<0 | 1> {
    // The wire outlives the agents a little, so that their end is still reported.
    const hangUp = new AbortController()
    const stopped = aborted(AbortSignal.any([signal, this.#released.signal])).then(async () => {
      this.#seats.stop()
      await this.#emptied.promise
      hangUp.abort()
    })
    this.#seats.start()
    const refused = await this.#connection.run(hangUp.signal)
    if (refused !== undefined) {
      this.#log.error({ hostId: this.#hostId, ...refused }, 'the daemon refuses this host')
      this.#released.abort()
    }
    await stopped
    return refused === undefined ? 0 : 1
  }

  #hello(): Hello {
    return {
      hostKey: this.#hostKey,
      hostId: this.#hostId,
      launchId: this.#spec.launchId,
      // Once welcomed the key is enough, and a secret that is not sent cannot be lost.
      enrolmentToken: this.#hostId === '' ? this.#spec.enrolmentToken : '',
      cloudId: this.#spec.cloudId,
      address: this.#spec.address,
      capacity: this.#seats.capacity,
      version: this.#spec.version,
      agents: this.#seats.states,
    }
  }

  #welcomed({ hostId }: Welcome): void {
    this.#hostId = hostId
    this.#log.info({ hostId, cloudId: this.#spec.cloudId }, 'connected')
    this.#sayDrained()
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
        this.#seats.drain()
        break
      case 'leave':
        this.#log.info({ hostId: this.#hostId }, 'the daemon lets this host go')
        this.#released.abort()
        break
    }
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
