import { backoffMs } from '../lib/backoff.ts'
import type { BackoffOptions } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { DaemonStream } from '../muster-v1/managers-service.ts'
import type { FromDaemon, FromManager, Hello, Received, Refused, Welcome } from '../muster-v1/messages.ts'
import type { DaemonDoor } from './transport.ts'

/** What the daemon may say once it knows us. */
export type DaemonWish = Exclude<FromDaemon, { message: 'welcome' | 'refused' }>

export interface DaemonConnectionOptions {
  /** Asked before each attempt. */
  readonly addresses: () => Promise<readonly string[]>
  /** A way in, or why there is none: refused for now, or for ever. What it throws is for now, too. */
  readonly dial: (address: string, signal: AbortSignal) => Promise<DaemonDoor | Refused>
  readonly hello: () => Hello
  /** Seats that work, for the heartbeats. */
  readonly capacity: () => number
  readonly welcomed: (welcome: Welcome) => void
  readonly wished: (wish: DaemonWish) => void
  /** A stream has ended. */
  readonly closed: () => void
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly reconnect: BackoffOptions
  /** While somebody is there who does not let us in. */
  readonly knock: BackoffOptions
  /** From Hello to Welcome, in milliseconds. */
  readonly welcomeTimeoutMs: number
}

const farewellMs = 500

type StreamEnd =
  | {
      readonly kind: 'lost'
      readonly wasWelcomed: boolean
      readonly reason: string
      readonly isRefusal: boolean
    }
  | { readonly kind: 'refused'; readonly refused: Refused }
  /** By our own wish, to be opened again. */
  | { readonly kind: 'left' }

/** What of a stream the sender needs. */
interface OpenStream {
  readonly stream: DaemonStream
  isWelcomed: boolean
  /** Said between Hello and Welcome: Hello has not told it, and the daemon does not know us yet. */
  readonly held: FromManager[]
  /** Ends it once what was said has arrived. */
  readonly leave: () => void
}

/** Reasons of one row of failures that are told apart in the log. */
const mostReasons = 10

/**
 * The stream to whichever daemon is there: dialled again for as long as the host lives, since its sessions do not
 * depend on it. What is said while there is no stream is dropped: the next Hello tells all.
 */
export class DaemonConnection {
  readonly #options: DaemonConnectionOptions
  readonly #saidReasons = new Set<string>()
  #open: OpenStream | undefined

  constructor(options: DaemonConnectionOptions) {
    this.#options = options
  }

  /** Resolves when the signal is aborted, or with the daemon's refusal when it is for ever. */
  async run(signal: AbortSignal): Promise<Refused | undefined> {
    let failures = 0
    let attempt = 0
    while (!signal.aborted) {
      const end = await this.#attempt(attempt, signal)
      if (end.kind === 'left') continue
      if (end.kind === 'refused' && end.refused.code === 'unauthorized') return end.refused
      if (end.kind === 'lost' && end.wasWelcomed) {
        failures = 0
        this.#saidReasons.clear()
      }
      failures += 1
      attempt += 1
      await this.#pause(end, failures, signal)
    }
    return undefined
  }

  send(message: FromManager): void {
    if (this.#open === undefined) return
    if (this.#open.isWelcomed) this.#open.stream.write(message)
    else this.#open.held.push(message)
  }

  /** Opens the stream anew, with what is then dialled with. */
  redial(): void {
    this.#open?.leave()
  }

  async #pause(
    end: Exclude<StreamEnd, { kind: 'left' }>,
    failures: number,
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return
    const { clock, random, log, reconnect, knock } = this.#options
    const isRefusal = end.kind === 'refused' || end.isRefusal
    const waitMs = backoffMs(failures, isRefusal ? knock : reconnect, random)
    const reason = end.kind === 'lost' ? end.reason : end.refused.message
    // Each reason once: a daemon that is away for an hour must not fill the disk.
    const isNews = !this.#saidReasons.has(reason) && this.#saidReasons.size < mostReasons
    if (isNews) this.#saidReasons.add(reason)
    log[isNews ? 'warn' : 'debug']({ reason, failures, waitMs }, 'no stream to the daemon')
    await clock.sleep(waitMs, signal).catch(() => undefined)
  }

  async #attempt(attempt: number, signal: AbortSignal): Promise<StreamEnd> {
    const addresses = await this.#options.addresses()
    const address = addresses[attempt % addresses.length]
    if (address === undefined) return lost('no daemon address is known')
    let door: DaemonDoor | Refused
    try {
      door = await this.#options.dial(address, signal)
    } catch (error) {
      return lost(error instanceof Error ? error.message : String(error))
    }
    if ('code' in door) return { kind: 'refused', refused: door }
    try {
      const end = await this.#hold(door.connect(), signal)
      if (end.kind !== 'lost' || end.wasWelcomed) return end
      return { ...end, ...door.explain(end.reason) }
    } finally {
      door.close()
      this.#options.closed()
    }
  }

  #hold(stream: DaemonStream, signal: AbortSignal): Promise<StreamEnd> {
    const { clock, hello, welcomeTimeoutMs } = this.#options
    return new Promise((resolve) => {
      let isRedialled = false
      let cancelTimer = clock.after(welcomeTimeoutMs, () => end(lost('no Welcome in time')))
      const beat = (everyMs: number): void => {
        cancelTimer = clock.after(everyMs, () => {
          this.send({ message: 'heartbeat', heartbeat: { capacity: this.#options.capacity() } })
          beat(everyMs)
        })
      }
      // Half-closed first, so that the last reports arrive.
      const leave = (): void => {
        cancelTimer()
        cancelTimer = clock.after(farewellMs, () => end(lost('left')))
        stream.end()
      }
      const open: OpenStream = {
        stream,
        isWelcomed: false,
        held: [],
        leave: () => {
          isRedialled = true
          leave()
        },
      }
      const end = (how: StreamEnd): void => {
        if (this.#open === open) this.#open = undefined
        cancelTimer()
        signal.removeEventListener('abort', leave)
        stream.cancel()
        resolve(isRedialled && how.kind === 'lost' && !signal.aborted ? { kind: 'left' } : how)
      }
      stream.on('data', (received: Received<FromDaemon>) => {
        if (this.#open !== open) return
        if (received.message === 'refused') {
          end({ kind: 'refused', refused: received.refused })
          return
        }
        if (received.message !== 'welcome') {
          this.#received(received)
          return
        }
        if (open.isWelcomed) return
        open.isWelcomed = true
        cancelTimer()
        beat(Math.max(100, received.welcome.heartbeatIntervalMs))
        for (const message of open.held.splice(0)) stream.write(message)
        this.#options.welcomed(received.welcome)
      })
      const closed = (reason: string): void => end({ ...lost(reason), wasWelcomed: open.isWelcomed })
      stream.on('error', (error: Error) => closed(error.message))
      stream.on('end', () => closed('the daemon closed the stream'))
      signal.addEventListener('abort', leave, { once: true })
      this.#open = open
      stream.write({ message: 'hello', hello: hello() })
      if (signal.aborted) leave()
    })
  }

  #received(received: Received<DaemonWish>): void {
    if (received.message !== undefined) this.#options.wished(received)
  }
}

function lost(reason: string): Extract<StreamEnd, { kind: 'lost' }> {
  return { kind: 'lost', wasWelcomed: false, reason, isRefusal: false }
}
