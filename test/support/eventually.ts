import { setTimeout as sleep } from 'node:timers/promises'

export interface EventuallyOptions {
  /**
   * How long it may take, in milliseconds: long enough for a machine with ten times as much to do, for nobody waits for it
   * but a test that fails. Shorter only where something else would come to the same later. Default: 100 s.
   */
  readonly timeoutMs?: number
  /** How often to look, in milliseconds. */
  readonly everyMs?: number
  /** What is waited for, in words, for the failure. */
  readonly what?: string
}

/**
 * Wait for a condition instead of sleeping: gives the first answer of `look` that is neither false nor undefined (a `look` without
 * an answer, made of assertions only, passes once it does not throw: let it return true).
 * An assertion that throws counts as "not yet", and its last failure is what is reported.
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  { timeoutMs = 100_000, everyMs = 10, what = 'the condition' }: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    let failure: unknown
    try {
      const answer = await look()
      if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>
    } catch (error) {
      failure = error
    }
    if (performance.now() >= deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, failure === undefined ? {} : { cause: failure })
    }
    await sleep(everyMs)
  }
}
