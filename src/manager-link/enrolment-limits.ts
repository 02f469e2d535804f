import type { Clock } from '../lib/clock.ts'
import { networkOf } from './accept-limits.ts'

const windowMs = 60_000
/** Addresses that are remembered before those that are at rest are forgotten. */
const mostAddresses = 10_000

interface Window {
  readonly endsAt: number
  attempts: number
}

/**
 * Enrolments that came to nothing, by address: a false token costs the database a call, and somebody who guesses has
 * many. One that succeeds does not count, so a fleet behind one address enrols as fast as it can.
 */
export class EnrolmentLimits {
  readonly #clock: Pick<Clock, 'now'>
  readonly #perMinute: number
  readonly #windows = new Map<string, Window>()

  /** @param perMinute of one address. */
  constructor(perMinute: number, clock: Pick<Clock, 'now'>) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** Counts an attempt, and gives what takes it back, for one that succeeded or that is not its fault; undefined: too many came to nothing. */
  begin(address: string): (() => void) | undefined {
    const window = this.#windowOf(networkOf(address))
    if (window.attempts >= this.#perMinute) return undefined
    window.attempts += 1
    return () => {
      window.attempts -= 1
    }
  }

  #windowOf(name: string): Window {
    const now = this.#clock.now()
    const known = this.#windows.get(name)
    if (known !== undefined && now < known.endsAt) return known
    if (this.#windows.size >= mostAddresses) {
      for (const [other, { endsAt }] of this.#windows) if (endsAt <= now) this.#windows.delete(other)
    }
    const fresh = { endsAt: now + windowMs, attempts: 0 }
    this.#windows.set(name, fresh)
    return fresh
  }
}
