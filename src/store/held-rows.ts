interface Row {
  readonly id: string
  readonly revision: number
}

/** Rows of one table by id, where only a higher revision counts and the dead stay dead until the next rebuild. */
export class HeldRows<T extends Row> {
  readonly #rows = new Map<string, T>()
  readonly #tombstones = new Map<string, number>()
  #heldBeforeRebuild = new Set<string>()

  get(id: string): T | undefined {
    return this.#rows.get(id)
  }

  has(id: string): boolean {
    return this.#rows.has(id)
  }

  keys(): Iterable<string> {
    return this.#rows.keys()
  }

  values(): Iterable<T> {
    return this.#rows.values()
  }

  /** Whether the row was news. `isOver`: its last state is one that is not held. */
  apply(row: T, isOver: boolean): boolean {
    const buried = this.#tombstones.get(row.id)
    if (buried !== undefined && row.revision <= buried) return false
    const held = this.#rows.get(row.id)
    if (held !== undefined && row.revision <= held.revision) return false
    if (!isOver) {
      this.#rows.set(row.id, row)
      return true
    }
    this.#tombstones.set(row.id, row.revision)
    return this.#rows.delete(row.id)
  }

  /** The row is deleted in the database; `mayReturn`: its id may be used anew, with a higher revision. Gives what was held. */
  remove(id: string, mayReturn = false): T | undefined {
    const held = this.#rows.get(id)
    const last = Math.max(held?.revision ?? 0, this.#tombstones.get(id) ?? 0)
    this.#tombstones.set(id, mayReturn ? last : Number.MAX_SAFE_INTEGER)
    this.#rows.delete(id)
    return held
  }

  beginRebuild(): void {
    this.#heldBeforeRebuild = new Set(this.#rows.keys())
  }

  /** The ids that were held before the rebuild began and that the database no longer has. */
  endRebuild(found: ReadonlySet<string>): readonly string[] {
    const gone = [...this.#heldBeforeRebuild].filter((id) => !found.has(id) && this.#rows.has(id))
    this.#heldBeforeRebuild = new Set()
    return gone
  }

  forgetTombstones(): void {
    this.#tombstones.clear()
  }
}
