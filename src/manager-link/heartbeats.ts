import type { ManagerLinkOptions } from './seams.ts'

const flushMs = 60_000

/**
 * When each host was last heard: in memory, where the mirror looks, and written once a minute in one statement, for
 * people and for the next daemon.
 */
export class Heartbeats {
  readonly #options: Pick<ManagerLinkOptions, 'store' | 'fence' | 'hostOf' | 'clock' | 'logger'>
  readonly #lastHeard = new Map<string, number>()
  #unflushed = new Set<string>()
  #cancelTimer: () => void = () => undefined

  constructor(options: Pick<ManagerLinkOptions, 'store' | 'fence' | 'hostOf' | 'clock' | 'logger'>) {
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

  heard(hostId: string): void {
    this.#lastHeard.set(hostId, this.#options.clock.now())
    this.#unflushed.add(hostId)
  }

  /** Milliseconds since the epoch. */
  lastHeard(hostId: string): number | undefined {
    return this.#lastHeard.get(hostId)
  }

  async flush(): Promise<void> {
    const { store, fence, hostOf, logger } = this.#options
    const number = fence()
    const hostIds = this.#unflushed
    if (number === undefined || hostIds.size === 0) return
    this.#unflushed = new Set()
    const beats = new Map<string, number>()
    for (const hostId of hostIds) {
      const at = this.#lastHeard.get(hostId)
      if (at !== undefined) beats.set(hostId, at)
    }
    try {
      await store.flushHeartbeats(beats, number)
    } catch (error) {
      // Nothing is lost: what counts is in memory, and the next flush has it.
      for (const hostId of hostIds) this.#unflushed.add(hostId)
      logger.warn({ err: error, hosts: hostIds.size }, 'heartbeats not flushed')
    }
    for (const hostId of this.#lastHeard.keys()) {
      if (hostOf(hostId) === undefined) this.#lastHeard.delete(hostId)
    }
  }
}
