/** How long a hole may still be filled: a transaction that takes longer to commit is left to the next resync. */
const holeLifeMs = 60_000
/** More open holes than this are a rebuild's work. */
const mostHoles = 10_000

/**
 * Which numbers of a sequence were passed over. Numbers are drawn before their transaction commits, so a lower one may
 * become visible after a higher one; rolled-back ones never do.
 */
export class SequenceHoles {
  #highest = 0
  readonly #openSince = new Map<number, number>()

  /** The cursor of the stream. */
  get highest(): number {
    return this.#highest
  }

  startAt(sequence: number): void {
    this.#highest = Math.max(this.#highest, sequence)
  }

  seen(sequence: number, now: number): void {
    this.#openSince.delete(sequence)
    if (sequence <= this.#highest) return
    const firstMissing = Math.max(this.#highest + 1, sequence - mostHoles)
    for (let missing = firstMissing; missing < sequence; missing += 1) this.#openSince.set(missing, now)
    this.#highest = sequence
    for (const oldest of this.#openSince.keys()) {
      if (this.#openSince.size <= mostHoles) break
      this.#openSince.delete(oldest)
    }
  }

  /** The holes worth asking for; those past their life are forgotten. */
  open(now: number): readonly number[] {
    for (const [sequence, since] of this.#openSince) {
      if (now - since > holeLifeMs) this.#openSince.delete(sequence)
    }
    return [...this.#openSince.keys()]
  }
}
