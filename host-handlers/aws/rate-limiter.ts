import { backoffMs } from '../../src/lib/backoff.ts'
import type { Clock } from '../../src/lib/clock.ts'

/** Requests of one kind: how many at once, and how many a second after that. */
interface Bucket {
  readonly burst: number
  readonly perSecond: number
}

/**
 * EC2's own buckets, with room left for others of the account.
 * Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
 */
const buckets = {
  read: { burst: 80, perSecond: 15 },
  write: { burst: 20, perSecond: 5 },
  /** RunInstances has one for itself. */
  run: { burst: 5, perSecond: 2 },
} satisfies Record<string, Bucket>
export type RequestKind = keyof typeof buckets

const pause = { firstMs: 1000, longestMs: 30_000, jitter: 0.75 }

/**
 * Through here goes each request to one account and region. Whoever is throttled holds all of them back, longer each
 * time, by chance: daemons that were throttled together do not come back together.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #random: () => number
  /** When the last request admitted would have been due, at the steady rate; milliseconds since the epoch. */
  readonly #dueAt = new Map<RequestKind, number>()
  #throttles = 0
  #pausedUntil = 0

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock
    this.#random = random
  }

  /** Resolves when the request may go out; rejects with the signal's reason. */
  async admit(kind: RequestKind, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { burst, perSecond } = buckets[kind]
    const everyMs = 1000 / perSecond
    const now = this.#clock.now()
    const dueAt = Math.max(this.#dueAt.get(kind) ?? 0, now - (burst - 1) * everyMs - everyMs) + everyMs
    this.#dueAt.set(kind, dueAt)
    let until = Math.max(dueAt, this.#pausedUntil)
    while (until > this.#clock.now()) {
      await this.#clock.sleep(until - this.#clock.now(), signal)
      until = this.#pausedUntil
    }
  }

  /** EC2 was asked too often. Requests that were in flight together count once. */
  throttled(): void {
    const now = this.#clock.now()
    if (now < this.#pausedUntil) return
    this.#throttles += 1
    this.#pausedUntil = now + backoffMs(this.#throttles, pause, this.#random)
  }

  /** EC2 did what was asked. */
  answered(): void {
    if (this.#clock.now() >= this.#pausedUntil) this.#throttles = 0
  }
}
