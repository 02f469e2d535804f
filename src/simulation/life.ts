/**
 * One life of a process in the simulated world, from its start to a kill -9: its timers never come due afterwards, what it
 * still waits for never arrives, and what it still asks for is never asked.
 */
import type { Clock } from '../lib/clock.ts'
import { sleepBy } from './clock.ts'

export class Life {
  #isOver = false
  readonly #end = Promise.withResolvers<undefined>()
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
    this.#end.resolve(undefined)
  }

  /** What somebody outside asks of this life: it fails when the life ends first, as a broken connection does. */
  async serve<T>(work: () => Promise<T>): Promise<T> {
    const broken = this.#end.promise.then(() => {
      throw new Error('the connection broke')
    })
    return await Promise.race([work(), broken])
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
