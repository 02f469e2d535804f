import { setImmediate, setTimeout as sleepFor } from 'node:timers/promises'

/** Time as an argument, so that a simulated world can own it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back once after `ms`; gives a function that cancels it. */
  after(ms: number, callback: () => void): () => void
  /** Resolves in the next round of the event loop: what is ready now goes first. */
  nextRound(): Promise<void>
}

// Node's timers fire at once past this many milliseconds (about 24.8 days).
const longestTimerMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleepFor(Math.min(ms, longestTimerMs), undefined, signal === undefined ? {} : { signal })
  },
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms, longestTimerMs))
    return () => clearTimeout(timer)
  },
  nextRound: () => setImmediate(),
}
