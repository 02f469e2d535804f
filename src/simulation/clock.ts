/**
 * Time that moves only when it is told to. What is due runs in order of its moment, then of its being armed, and all that
 * can go on without time has gone on before the next: the same calls in the same order give the same story.
 */
import { setImmediate } from 'node:timers/promises'

import type { Clock } from '../lib/clock.ts'
import { TimerHeap } from './timer-heap.ts'

// As Node's: a timer never waits longer than this.
const longestTimerMs = 2 ** 31 - 1

export class SimulatedClock implements Clock {
  #now: number
  readonly #timers = new TimerHeap()

  /** @param now milliseconds since the epoch */
  constructor(now = 0) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = this.#timers.add(this.#now + Math.min(Math.max(0, ms), longestTimerMs), callback)
    return () => {
      timer.callback = undefined
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepBy(this, ms, signal)
  }

  nextRound(): Promise<void> {
    return sleepBy(this, 0)
  }

  /** Let `ms` go by; `afterEach` is called after each thing that came due, and at the end. */
  async advance(ms: number, afterEach: () => void): Promise<void> {
    const until = this.#now + ms
    await settled()
    for (;;) {
      const timer = this.#timers.takeDue(until)
      if (timer === undefined) break
      const { callback } = timer
      if (callback === undefined) continue
      this.#now = Math.max(this.#now, timer.at)
      callback()
      await settled()
      afterEach()
    }
    this.#now = until
    afterEach()
  }
}

/** Every promise that can go on without time has gone on. */
export async function settled(): Promise<void> {
  await setImmediate()
}

/** `Clock.sleep` in terms of `Clock.after`. */
export function sleepBy(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      clock.after(ms, resolve)
      return
    }
    const onAbort = () => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}
