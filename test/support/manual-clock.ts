import type { Clock } from '../../src/lib/clock.ts'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Time that passes when the test says so. Timers fire in order of their time, those of one time in order of arming. */
export class ManualClock implements Clock {
  #now: number
  #timers: readonly Timer[] = []

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers = [...this.#timers, timer].sort((one, other) => one.at - other.at)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(signal?.reason as Error)
      if (signal?.aborted === true) {
        fail()
        return
      }
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      const abort = (): void => {
        cancel()
        fail()
      }
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /** Also fires the timers that the fired ones arm, as far as they are due. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const [next, ...rest] = this.#timers
      if (next === undefined || next.at > until) break
      this.#timers = rest
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = until
  }
}
