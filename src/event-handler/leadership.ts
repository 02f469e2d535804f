/**
 * One daemon is active. The lease is a row with an end; whoever holds it renews it at a third of its length, and its
 * fencing number goes with every write that must not come from an old holder.
 *
 *   standby → active (lease taken) → standby (lease lost, or not renewed in time while the database is away)
 */
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { FleetStore } from '../store/fleet-store.ts'

export interface LeadershipOptions {
  readonly store: Pick<FleetStore, 'takeLease' | 'releaseLease'>
  readonly clock: Clock
  readonly logger: Logger
  /** Unique to this process. */
  readonly holder: string
  readonly leaseSeconds: number
  /** The lease is ours, perhaps again with a new fence. `isTakeOver`: another daemon held it when we first asked. */
  readonly onActive: (isTakeOver: boolean) => Promise<void>
  readonly onStandby: () => Promise<void>
}

export class Leadership {
  readonly #options: LeadershipOptions
  readonly #stopping = new AbortController()
  #fence: number | undefined
  #loop: Promise<void> = Promise.resolve()
  #failures = 0
  #hasStoodBy = false

  constructor(options: LeadershipOptions) {
    this.#options = options
  }

  /** The fencing number while this daemon is active, else undefined. */
  fence(): number | undefined {
    return this.#fence
  }

  start(): void {
    this.#loop = this.#run()
  }

  /** Gives the lease back, so that a standby takes over at once. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
    const fence = this.#fence
    if (fence === undefined) return
    this.#fence = undefined
    await this.#options.onStandby()
    try {
      await this.#options.store.releaseLease(this.#options.holder, fence)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lease could not be given back; it ends by itself')
    }
  }

  async #run(): Promise<void> {
    const { clock, leaseSeconds } = this.#options
    const leaseMs = leaseSeconds * 1000
    let heldUntil = 0
    while (!this.#stopping.signal.aborted) {
      const asked = clock.now()
      const fence = await this.#take()
      // Counted from before the call: the database's count started later.
      if (fence !== undefined) heldUntil = asked + leaseMs
      else if (this.#failures === 0) this.#hasStoodBy = true
      if (fence !== undefined && fence !== this.#fence) await this.#becomeActive(fence)
      else if (
        this.#fence !== undefined &&
        (fence === undefined ? this.#failures === 0 || clock.now() >= heldUntil : false)
      ) {
        await this.#becomeStandby()
      }
      const wait =
        this.#fence === undefined || this.#failures > 0 ? Math.min(1_000, leaseMs / 10) : leaseMs / 3
      await clock.sleep(wait, this.#stopping.signal).catch(() => undefined)
    }
  }

  /** The fence when the lease is ours; undefined when another's, or (with #failures > 0) when nobody answered. */
  async #take(): Promise<number | undefined> {
    const { store, holder, leaseSeconds, clock } = this.#options
    try {
      const lease = await store.takeLease(holder, leaseSeconds)
      this.#failures = 0
      return lease?.fence
    } catch {
      // The change follower reports a database that is away; here it only counts.
      this.#failures += 1
      await clock
        .sleep(backoffMs(this.#failures, { firstMs: 50, longestMs: 500 }), this.#stopping.signal)
        .catch(() => undefined)
      return undefined
    }
  }

  async #becomeActive(fence: number): Promise<void> {
    if (this.#fence !== undefined) await this.#options.onStandby()
    this.#fence = fence
    this.#options.logger.info({ fence }, 'active')
    await this.#options.onActive(this.#hasStoodBy)
  }

  async #becomeStandby(): Promise<void> {
    this.#fence = undefined
    this.#options.logger.warn('standby: another daemon holds the lease, or it could not be renewed')
    await this.#options.onStandby()
  }
}
