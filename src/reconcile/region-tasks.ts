import type { Clock } from '../lib/clock.ts'
import type { Cause } from '../model/event.ts'

interface RegionState {
  causes: Cause[]
  isRunning: boolean
  cancelTimer: () => void
}

/**
 * One region, one task at a time; regions run in parallel; causes that arrive while a task is queued or running are
 * merged into the next one, none is swallowed. Each task may arm one timer for its region.
 */
export class RegionTasks {
  readonly #run: (regionId: string, causes: readonly Cause[]) => Promise<void>
  readonly #clock: Clock
  readonly #regions = new Map<string, RegionState>()
  #isOpen = false

  constructor(clock: Clock, run: (regionId: string, causes: readonly Cause[]) => Promise<void>) {
    this.#clock = clock
    this.#run = run
  }

  start(): void {
    this.#isOpen = true
  }

  /** Queued causes are dropped (the next start resyncs everything); running tasks are waited for. */
  async stop(): Promise<void> {
    this.#isOpen = false
    for (const state of this.#regions.values()) {
      state.cancelTimer()
      state.causes = []
    }
    while ([...this.#regions.values()].some((state) => state.isRunning)) await this.#clock.sleep(5)
  }

  wake(regionId: string, cause: Cause): void {
    if (!this.#isOpen) return
    let state = this.#regions.get(regionId)
    if (state === undefined) {
      state = { causes: [], isRunning: false, cancelTimer: () => undefined }
      this.#regions.set(regionId, state)
    }
    if (!state.causes.some((known) => isSame(known, cause))) state.causes.push(cause)
    if (!state.isRunning) void this.#drain(regionId, state)
  }

  /** Wake the region at `at` (milliseconds since the epoch); replaces the region's earlier timer. */
  armTimer(regionId: string, at: number | undefined): void {
    const state = this.#regions.get(regionId)
    if (state === undefined) return
    state.cancelTimer()
    state.cancelTimer =
      at === undefined || !this.#isOpen
        ? () => undefined
        : this.#clock.after(Math.max(1, at - this.#clock.now()), () =>
            this.wake(regionId, { kind: 'deadline' }),
          )
  }

  async #drain(regionId: string, state: RegionState): Promise<void> {
    state.isRunning = true
    while (state.causes.length > 0) {
      // All that arrives in one round of the event loop is one task's: under load a task costs more than its causes.
      await this.#clock.nextRound()
      const causes = state.causes
      state.causes = []
      // A stop drops them.
      if (causes.length > 0) await this.#run(regionId, causes)
    }
    state.isRunning = false
  }
}

function isSame(left: Cause, right: Cause): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}
