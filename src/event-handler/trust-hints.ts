/** Certificates and backends, or those of them that are meant. */
export interface TrustChange {
  readonly serials: readonly string[]
  readonly backendIds: readonly string[]
}

/**
 * Who keeps the list of those who may connect. It reads anew what it is told of, and rejects when it cannot. Calls may
 * overlap: each begins to read when it is called.
 */
export interface TrustListener {
  /**
   * Read the allow-list whole and replace it: at the start, and whenever something may have been missed. Unless what
   * changes from now on is heard, it may take rights and let nobody in.
   */
  rebuild(isHeard: boolean): Promise<void>
  /** These certificates, and those of these backends, may have won or lost their right. */
  changed(of: TrustChange): Promise<void>
}

/**
 * Hints of whose right may have changed, merged while a read is under way. They have a way of their own, so that a
 * revocation does not wait for the mirror's reads.
 */
export class TrustHints {
  readonly #listener: TrustListener
  readonly #onFailure: (error: unknown) => void
  #serials = new Set<string>()
  #backendIds = new Set<string>()
  #reading: Promise<void> | undefined

  /** @param onFailure hints were lost: everything is to be read again. */
  constructor(listener: TrustListener, onFailure: (error: unknown) => void) {
    this.#listener = listener
    this.#onFailure = onFailure
  }

  /** Whether the table is one of trust. */
  add(table: string, rowId: string): boolean {
    if (table === 'certificates') this.#serials.add(rowId)
    else if (table === 'backends') this.#backendIds.add(rowId)
    else return false
    this.#reading ??= this.#read()
    return true
  }

  /** Until nothing is read. */
  async settled(): Promise<void> {
    await this.#reading
  }

  async #read(): Promise<void> {
    // What is heard in the same moment is one read.
    await Promise.resolve()
    while (this.#serials.size + this.#backendIds.size > 0) {
      const of = { serials: [...this.#serials], backendIds: [...this.#backendIds] }
      this.#serials = new Set()
      this.#backendIds = new Set()
      try {
        await this.#listener.changed(of)
      } catch (error) {
        this.#onFailure(error)
      }
    }
    this.#reading = undefined
  }
}
