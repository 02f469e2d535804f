/** What happened in a simulated world, line by line. Two runs of one seed have one digest, or something is not told by it. */
import { createHash } from 'node:crypto'

import type { Clock } from '../lib/clock.ts'

export class Story {
  readonly #hash = createHash('sha256')
  readonly #lines: string[] | undefined

  readonly #clock: Pick<Clock, 'now'>
  readonly #startedAt: number

  /** @param isKept whether the lines are held, for who wants to read them */
  constructor(clock: Pick<Clock, 'now'>, isKept: boolean) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.#lines = isKept ? [] : undefined
  }

  tell(what: string): void {
    const line = `${((this.#clock.now() - this.#startedAt) / 1000).toFixed(3).padStart(9)}  ${what}`
    this.#hash.update(line).update('\n')
    this.#lines?.push(line)
  }

  get lines(): readonly string[] {
    return this.#lines ?? []
  }

  /** Of all lines so far; hex. */
  get digest(): string {
    return this.#hash.copy().digest('hex')
  }
}
