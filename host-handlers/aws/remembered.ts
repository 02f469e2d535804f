import type { Clock } from '../../src/lib/clock.ts'

/** Answers kept for a while, so that launches of one turn ask once; one that failed is asked for again. */
export class Remembered<T> {
  readonly #clock: Clock
  readonly #forMs: number
  readonly #answers = new Map<string, { readonly until: number; readonly answer: Promise<T> }>()

  constructor(clock: Clock, forMs: number) {
    this.#clock = clock
    this.#forMs = forMs
  }

  get(key: string, ask: () => Promise<T>): Promise<T> {
    const now = this.#clock.now()
    for (const [old, { until }] of this.#answers) if (until <= now) this.#answers.delete(old)
    const known = this.#answers.get(key)
    if (known !== undefined) return known.answer
    const answer = ask()
    this.#answers.set(key, { until: now + this.#forMs, answer })
    answer.catch(() => this.#answers.delete(key))
    return answer
  }
}
