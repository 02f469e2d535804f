/** Rows by id. They are never changed in place, so that what somebody was given stays as it was. */
export class Table<Row extends { readonly id: string }> {
  readonly #rows = new Map<string, Row>()
  readonly #journal: Journal

  constructor(journal: Journal) {
    this.#journal = journal
  }

  get(id: string | null): Row | undefined {
    return id === null ? undefined : this.#rows.get(id)
  }

  /** In no order that anybody may rely on. */
  values(): IteratorObject<Row> {
    return this.#rows.values()
  }

  /** Those of them that `isWanted` says, in order of id. */
  where(isWanted: (row: Row) => boolean): readonly Row[] {
    const found: Row[] = []
    for (const row of this.#rows.values()) if (isWanted(row)) found.push(row)
    return found.sort(byId)
  }

  put(row: Row): void {
    const before = this.#rows.get(row.id)
    this.#rows.set(row.id, row)
    this.#journal.note(() => {
      if (before === undefined) this.#rows.delete(row.id)
      else this.#rows.set(row.id, before)
    })
  }

  delete(id: string): void {
    const before = this.#rows.get(id)
    if (before === undefined) return
    this.#rows.delete(id)
    this.#journal.note(() => this.#rows.set(id, before))
  }
}

/** What undoes the transaction that is under way. */
export class Journal {
  #undo: (() => void)[] = []

  note(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** All of `work`, or nothing of it when it throws. Transactions do not nest. */
  atomically<T>(work: () => T): T {
    this.#undo = []
    try {
      return work()
    } catch (error) {
      for (const undo of this.#undo.reverse()) undo()
      throw error
    } finally {
      this.#undo = []
    }
  }
}

export function byId(one: { readonly id: string }, other: { readonly id: string }): number {
  return one.id < other.id ? -1 : one.id > other.id ? 1 : 0
}
