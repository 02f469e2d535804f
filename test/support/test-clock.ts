import { setImmediate as untilNextRound } from 'node:timers/promises'

import type { Clock } from '../../src/lib/clock.ts'

/** Time that stands still until it is moved; timers and sleepers come due in order. */
export class TestClock implements Clock {
  #now: number
  #next = 0
  readonly #timers = new Map<number, { at: number; callback: () => void }>()

  constructor(now = Date.UTC(2026, 10, 20, 12)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const key = this.#next
    this.#next += 1
    this.#timers.set(key, { at: this.#now + ms, callback })
    return () => this.#timers.delete(key)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.after(ms, resolve)
      const abort = () => {
        cancel()
        reject(signal?.reason as Error)
      }
      if (signal?.aborted === true) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  }

  nextRound(): Promise<void> {
    return untilNextRound()
  }

  /** How many timers and sleepers wait. */
  get pending(): number {
    return this.#timers.size
  }

  /** Let `ms` go by; what comes due runs in order, and may arm more. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      await settle()
      const due = [...this.#timers]
        .filter(([, timer]) => timer.at <= until)
        .sort(([, a], [, b]) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due[0])
      this.#now = Math.max(this.#now, due[1].at)
      due[1].callback()
    }
    this.#now = until
    await settle()
  }
}

/** Let every promise that can go on go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
