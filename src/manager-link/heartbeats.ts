import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'

const flushMs = 60_000

export interface HeartbeatsOptions {
  /** Times, milliseconds since the epoch, by id. @throws MusterError as the store does */
  readonly write: (beats: ReadonlyMap<string, number>, fence: number) => Promise<void>
  /** Whether anybody will ask for this one again. */
  readonly isKept: (id: string) => boolean
  readonly fence: () => number | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * When each host, or backend, was last heard: in memory, where the mirror looks, and written once a minute in one statement, for
 * people and for the next daemon.
 */
export class Heartbeats {
  readonly #options: HeartbeatsOptions
  readonly #lastHeard = new Map<string, number>()
  #unflushed = new Set<string>()
  #cancelTimer: () => void = () => undefined

  constructor(options: HeartbeatsOptions) {
    this.#options = options
  }

  start(): void {
    this.#cancelTimer = this.#options.clock.after(flushMs, () => {
      this.start()
      void this.flush()
    })
  }

  async stop(): Promise<void> {
    this.#cancelTimer()
    await this.flush()
    this.#lastHeard.clear()
  }

  heard(id: string): void {
    this.#lastHeard.set(id, this.#options.clock.now())
    this.#unflushed.add(id)
  }

  /** Milliseconds since the epoch. */
  lastHeard(id: string): number | undefined {
    return this.#lastHeard.get(id)
  }

  async flush(): Promise<void> {
    const { write, isKept, fence, logger } = this.#options
    const number = fence()
    const ids = this.#unflushed
    if (number === undefined || ids.size === 0) return
    this.#unflushed = new Set()
    const beats = new Map<string, number>()
    for (const id of ids) {
      const at = this.#lastHeard.get(id)
      if (at !== undefined) beats.set(id, at)
    }
    try {
      await write(beats, number)
    } catch (error) {
      // Nothing is lost: what counts is in memory, and the next flush has it.
      for (const id of ids) this.#unflushed.add(id)
      logger.warn({ err: error, count: ids.size }, 'heartbeats not flushed')
    }
    for (const id of this.#lastHeard.keys()) if (!isKept(id)) this.#lastHeard.delete(id)
  }
}
