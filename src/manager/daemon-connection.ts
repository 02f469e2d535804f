import { backoffMs } from '../lib/backoff.ts'
import type { BackoffOptions } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { DaemonStream, ManagersClient } from '../muster-v1/managers-service.ts'
import type { FromDaemon, FromManager, Hello, Received, Refused, Welcome } from '../muster-v1/messages.ts'

/** What the daemon may say once it knows us. */
export type DaemonWish = Exclude<FromDaemon, { message: 'welcome' | 'refused' }>

export interface DaemonConnectionOptions {
  /** Asked before each attempt. */
  readonly addresses: () => Promise<readonly string[]>
  readonly dial: (address: string) => ManagersClient
  readonly hello: () => Hello
  /** Seats that work, for the heartbeats. */
  readonly capacity: () => number
  readonly welcomed: (welcome: Welcome) => void
  readonly wished: (wish: DaemonWish) => void
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly reconnect: BackoffOptions
  /** From Hello to Welcome, in milliseconds. */
  readonly welcomeTimeoutMs: number
}

const farewellMs = 500

type StreamEnd =
  | { readonly kind: 'lost'; readonly wasWelcomed: boolean; readonly reason: string }
  | { readonly kind: 'refused'; readonly refused: Refused }

/** What of a stream the sender needs. */
interface OpenStream {
  readonly stream: DaemonStream
  isWelcomed: boolean
  /** Said between Hello and Welcome: Hello has not told it, and the daemon does not know us yet. */
  readonly held: FromManager[]
}

/**
 * The stream to whichever daemon is there: dialled again for as long as the host lives, since its sessions do not
 * depend on it. What is said while there is no stream is dropped: the next Hello tells all.
 */
export class DaemonConnection {
  readonly #options: DaemonConnectionOptions
  #open: OpenStream | undefined

  constructor(options: DaemonConnectionOptions) {
    this.#options = options
  }

  /** Resolves when the signal is aborted, or with the daemon's refusal when it is for ever. */
  async run(signal: AbortSignal): Promise<Refused | undefined> {
    let failures = 0
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const end = await this.#attempt(attempt, signal)
      if (end.kind === 'refused' && end.refused.code === 'unauthorized') return end.refused
      failures = end.kind === 'lost' && end.wasWelcomed ? 1 : failures + 1
      await this.#pause(end, failures, signal)
    }
    return undefined
  }

  send(message: FromManager): void {
    if (this.#open === undefined) return
    if (this.#open.isWelcomed) this.#open.stream.write(message)
    else this.#open.held.push(message)
  }

  async #pause(end: StreamEnd, failures: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { clock, random, log, reconnect } = this.#options
    const waitMs = backoffMs(failures, reconnect, random)
    const reason = end.kind === 'lost' ? end.reason : end.refused.message
    // The first of a row: a daemon that is away for an hour must not fill the disk.
    log[failures === 1 ? 'warn' : 'debug']({ reason, failures, waitMs }, 'no stream to the daemon')
    await clock.sleep(waitMs, signal).catch(() => undefined)
  }

  async #attempt(attempt: number, signal: AbortSignal): Promise<StreamEnd> {
    const addresses = await this.#options.addresses()
    const address = addresses[attempt % addresses.length]
    if (address === undefined) return lost('no daemon address is known')
    let client: ManagersClient
    try {
      client = this.#options.dial(address)
    } catch (error) {
      return lost(String(error))
    }
    try {
      return await this.#hold(client.connect(), signal)
    } finally {
      client.close()
    }
  }

  #hold(stream: DaemonStream, signal: AbortSignal): Promise<StreamEnd> {
    const { clock, hello, welcomeTimeoutMs } = this.#options
    const open: OpenStream = { stream, isWelcomed: false, held: [] }
    return new Promise((resolve) => {
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
      const end = (how: StreamEnd): void => {
        if (this.#open === open) this.#open = undefined
        cancelTimer()
        signal.removeEventListener('abort', leave)
        stream.cancel()
        resolve(how)
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
      const closed = (reason: string): void => end({ kind: 'lost', wasWelcomed: open.isWelcomed, reason })
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

function lost(reason: string): StreamEnd {
  return { kind: 'lost', wasWelcomed: false, reason }
}
