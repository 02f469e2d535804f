/**
 * A certificate that two connections use. A manager that redials before its old half has ended does so for a moment;
 * a key that was copied does so for long, or again and again as the two take the stream from each other.
 */
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { AllowedCertificate } from '../trust/allow-list.ts'

/** A dead half is noticed by its keepalive within 15 s. */
const lastingMs = 20_000
const oftenWithinMs = 60_000
const often = 3
const mostRemembered = 1_000

export interface SharedUseOptions {
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly logger: Logger
  /** Connections that use this serial now. */
  readonly countOf: (serial: string) => number
}

export class SharedUse {
  readonly #options: SharedUseOptions
  #seen = new Map<string, number[]>()

  constructor(options: SharedUseOptions) {
    this.#options = options
  }

  noticed({ serial, backendId }: AllowedCertificate, connections: number): void {
    const { clock, logger, countOf } = this.#options
    const now = clock.now()
    const recent = (this.#seen.get(serial) ?? []).filter((at) => now - at < oftenWithinMs)
    if (recent.length === 0) {
      clock.after(lastingMs, () => {
        const still = countOf(serial)
        if (still > 1) this.#alarm(serial, backendId, still)
      })
      logger.info({ backendId, serial, connections }, 'a certificate is used by more than one connection')
    }
    if (this.#seen.size >= mostRemembered) this.#seen = new Map()
    this.#seen.set(serial, [...recent, now].slice(-often))
    // Said when it comes to be often, and not again with each that follows.
    if (recent.length === often - 1) this.#alarm(serial, backendId, connections)
  }

  #alarm(serial: string, backendId: string, connections: number): void {
    this.#options.logger.error(
      { backendId, serial, connections },
      'a certificate is in use twice: its key may have been stolen; revoke it if this is no restart',
    )
  }
}
