/** A line of people in order of their numbers. Joining at the end, leaving from anywhere and looking at the head cost the same at any length. */
interface Place<T> {
  readonly item: T
  before: Place<T> | undefined
  after: Place<T> | undefined
}

export class WaitingLine<T extends { readonly sequence: number }> {
  #head: Place<T> | undefined
  #tail: Place<T> | undefined
  readonly #places = new Map<T, Place<T>>()

  get size(): number {
    return this.#places.size
  }

  get head(): T | undefined {
    return this.#head?.item
  }

  /** Nearly always at the end; who comes back after an agent failed takes the place that was theirs. */
  join(item: T): void {
    let before = this.#tail
    if (this.#head !== undefined && item.sequence < this.#head.item.sequence) before = undefined
    while (before !== undefined && before.item.sequence > item.sequence) before = before.before
    const after = before === undefined ? this.#head : before.after
    const place: Place<T> = { item, before, after }
    if (before === undefined) this.#head = place
    else before.after = place
    if (after === undefined) this.#tail = place
    else after.before = place
    this.#places.set(item, place)
  }

  leave(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    this.#places.delete(item)
    if (place.before === undefined) this.#head = place.after
    else place.before.after = place.after
    if (place.after === undefined) this.#tail = place.before
    else place.after.before = place.before
  }

  /** Everybody in line at this moment, in no order. */
  all(): readonly T[] {
    return [...this.#places.keys()]
  }
}
