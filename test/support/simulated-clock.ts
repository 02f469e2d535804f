import type { Clock } from '../../src/lib/clock.ts'

const longestTimerMs = 2 ** 31 - 1

/** Time that moves only by `advance`; what is due runs in order, and at once. */
export class SimulatedClock implements Clock {
  #now = 0
  #next = 0
  readonly #timers = new Map<number, { at: number; callback: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const key = (this.#next += 1)
    // As Node's: a timer never waits longer than this.
    this.#timers.set(key, { at: this.#now + Math.min(ms, longestTimerMs), callback })
    return () => this.#timers.delete(key)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepBy(this, ms, signal)
  }

  async advance(ms: number, afterEach: () => void): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      let due: [number, { at: number; callback: () => void }] | undefined
      for (const entry of this.#timers) if (entry[1].at <= (due?.[1].at ?? until + 1) - 1) due = entry
      if (due === undefined) break
      this.#timers.delete(due[0])
      this.#now = Math.max(this.#now, due[1].at)
      due[1].callback()
      await settled()
      afterEach()
    }
    this.#now = until
    afterEach()
  }
}

/** Every promise that can go on without time has gone on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 25; turn += 1) await Promise.resolve()
}

export function sleepBy(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, resolve)
    signal?.addEventListener('abort', () => {
      cancel()
      reject(signal.reason as Error)
    })
  })
}

/** mulberry32: 0 to 1, the same for the same seed. */
export function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
