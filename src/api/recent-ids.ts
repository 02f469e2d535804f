/**
 * The last ids that were taken in, to know a repeat. Memory is enough, and may forget: what it guards is a hint, and a
 * hint that is taken twice, after a restart or past the bound, costs one read by key and changes nothing.
 */
export class RecentIds {
  readonly #most: number
  readonly #ids = new Set<string>()

  constructor(most: number) {
    this.#most = most
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  add(id: string): void {
    this.#ids.add(id)
    const [oldest] = this.#ids
    if (this.#ids.size > this.#most && oldest !== undefined) this.#ids.delete(oldest)
  }
}
