/** Chance that repeats itself: the same seed, the same draws. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** mulberry32: from 0 up to 1. */
  readonly draw = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    const state = this.#state
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** Whether something of this probability, 0 to 1, happens. */
  happens(probability: number): boolean {
    return this.draw() < probability
  }

  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.draw() * (most - least + 1))
  }

  /** One of them; there must be one. */
  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.draw() * items.length)]
    if (item === undefined) throw new Error('there is nothing to pick from')
    return item
  }
}
