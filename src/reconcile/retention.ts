import { isAborted } from '../lib/aborted.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { FleetStore } from '../store/fleet-store.ts'

export interface RetentionOptions {
  readonly store: Pick<FleetStore, 'prune'>
  readonly clock: Clock
  readonly logger: Logger
  readonly fence: () => number | undefined
  readonly days: number
}

const intervalMs = 10 * 60_000

/** Forget, every ten minutes, what is past its retention, until the signal is aborted. */
export async function keepRetention(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await options.clock.sleep(intervalMs, signal).catch(() => undefined)
    const fence = options.fence()
    if (isAborted(signal) || fence === undefined) continue
    try {
      await options.store.prune(options.days, fence)
    } catch (error) {
      options.logger.warn({ err: error }, 'pruning failed; it is tried again later')
    }
  }
}
