/**
 * The live connections, by the serial of their certificate: none outlives its right. A right ends in two ways, and each
 * closes at once: the serial leaves the allow-list, or its time is up (one timer for each connection).
 *
 * Whoever acts for a connection asks `has` first: of many that lose their right together some are destroyed a moment
 * later, so that the event loop is never held long, but none of them is in the registry any more.
 */
import type { Clock } from '../lib/clock.ts'
import type { AllowedCertificate, AllowList, NotAllowed } from './allow-list.ts'
import { rightEndsAt } from './allow-list.ts'

/** Why a connection was closed: it was `removed` from the allow-list, `expired`, not let in, or the daemon stands by. */
export type CloseReason = 'removed' | 'expired' | 'standby' | NotAllowed

export interface Destroyable {
  /** Closes whatever the peer does. Called once. */
  destroy(reason: CloseReason): void
}

export interface ConnectionsOptions {
  readonly allowList: AllowList
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** Calls back when other work had its turn: `setImmediate`. */
  readonly yieldTurn: (resume: () => void) => unknown
  /**
   * A certificate is used by more than one connection at once: a reconnect whose old half has not ended yet, or a stolen
   * key. They are let be; it is an alarm when it lasts.
   */
  readonly onShared: (certificate: AllowedCertificate, connections: number) => void
}

/** Destroyed in one go; a TLS socket takes about 60 µs. */
const batchSize = 100

interface Live {
  readonly serial: string
  cancelTimer: () => void
}

export class Connections<Connection extends Destroyable = Destroyable> {
  readonly #options: ConnectionsOptions
  readonly #live = new Map<Connection, Live>()
  readonly #bySerial = new Map<string, Set<Connection>>()
  readonly #doomed: { readonly connection: Connection; readonly reason: CloseReason }[] = []
  #isClosing = false

  constructor(options: ConnectionsOptions) {
    this.#options = options
    options.allowList.listen({
      removed: (serials) => this.#doom(this.#ofSerials(serials), 'removed'),
      changed: (certificates) => {
        for (const certificate of certificates) {
          for (const connection of this.#bySerial.get(certificate.serial) ?? []) this.#arm(connection)
        }
      },
    })
  }

  get size(): number {
    return this.#live.size
  }

  /** How many were doomed and are not destroyed yet. */
  get closing(): number {
    return this.#doomed.length
  }

  /** The connection's certificate; a string says why it has no right, and then it was destroyed. */
  admit(connection: Connection, serial: string): AllowedCertificate | NotAllowed {
    const sharing = this.#register(connection, serial)
    // Looked up only once it is registered: what is removed from here on is heard.
    const certificate = this.#options.allowList.lookup(serial)
    if (typeof certificate === 'string') {
      this.release(connection)
      connection.destroy(certificate)
      return certificate
    }
    this.#arm(connection)
    if (sharing.size > 1) this.#options.onShared(certificate, sharing.size)
    return certificate
  }

  /** It has ended by itself. Harmless when it is not held. */
  release(connection: Connection): void {
    const live = this.#live.get(connection)
    if (live === undefined) return
    live.cancelTimer()
    this.#live.delete(connection)
    const sharing = this.#bySerial.get(live.serial)
    sharing?.delete(connection)
    if (sharing?.size === 0) this.#bySerial.delete(live.serial)
  }

  /** Whether it still has its right. */
  has(connection: Connection): boolean {
    return this.#live.has(connection)
  }

  /** Those that use this certificate. */
  of(serial: string): readonly Connection[] {
    return [...(this.#bySerial.get(serial) ?? [])]
  }

  /** This daemon holds no connections any more. */
  closeAll(): void {
    this.#doom([...this.#live.keys()], 'standby')
  }

  #register(connection: Connection, serial: string): ReadonlySet<Connection> {
    const sharing = this.#bySerial.get(serial) ?? new Set()
    sharing.add(connection)
    this.#bySerial.set(serial, sharing)
    this.#live.set(connection, { serial, cancelTimer: () => undefined })
    return sharing
  }

  #ofSerials(serials: readonly string[]): readonly Connection[] {
    return serials.flatMap((serial) => this.of(serial))
  }

  /** Wake at the end of its right. The clock may wake earlier (its timers have a longest time): then once more. */
  #arm(connection: Connection): void {
    const live = this.#live.get(connection)
    const certificate = live === undefined ? undefined : this.#options.allowList.get(live.serial)
    if (live === undefined || certificate === undefined) return
    live.cancelTimer()
    const leftMs = rightEndsAt(certificate) - this.#options.clock.now()
    if (leftMs <= 0) this.#doom([connection], 'expired')
    else live.cancelTimer = this.#options.clock.after(leftMs, () => this.#arm(connection))
  }

  #doom(connections: readonly Connection[], reason: CloseReason): void {
    for (const connection of connections) {
      this.release(connection)
      this.#doomed.push({ connection, reason })
    }
    if (!this.#isClosing) this.#closeSome()
  }

  #closeSome(): void {
    // Said before destroying: a connection's end may bring the next removal about.
    this.#isClosing = true
    try {
      for (let count = 0; count < batchSize; count += 1) {
        const next = this.#doomed.shift()
        if (next === undefined) break
        next.connection.destroy(next.reason)
      }
    } finally {
      // One that throws keeps no other open.
      this.#isClosing = this.#doomed.length > 0
      if (this.#isClosing) this.#options.yieldTurn(() => this.#closeSome())
    }
  }
}
