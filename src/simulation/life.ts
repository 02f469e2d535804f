/**
 * One life of a process in the simulated world, from its start to a kill -9: its timers never come due afterwards, what it
 * still waits for never arrives, and what it still asks for is never asked.
 */
import type { Clock } from '../lib/clock.ts'
import { sleepBy } from './clock.ts'

export class Life {
  #isOver = false
  readonly clock: Clock

  constructor(clock: Clock) {
    const mortal: Clock = {
      now: () => clock.now(),
      after: (ms, callback) =>
        clock.after(ms, () => {
          if (!this.#isOver) callback()
        }),
      sleep: (ms, signal) => sleepBy(mortal, ms, signal),
      nextRound: () => sleepBy(mortal, 0),
    }
    this.clock = mortal
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
  }

  /** What somebody else does for this life; neither result nor error arrives once it is over. */
  async hear<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work
      if (this.#isOver) return await never()
      return result
    } catch (error) {
      if (this.#isOver) return await never()
      throw error
    }
  }
}

/** Nobody is left to go on. */
export function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}
