/** Whether the daemon does its work, and why not: what `/readyz` answers. */
export class Health {
  readonly #causes = new Map<string, string>()

  /** Note that `part` is well, or why it is not. */
  set(part: string, cause: string | undefined): void {
    if (cause === undefined) this.#causes.delete(part)
    else this.#causes.set(part, cause)
  }

  get ready(): boolean {
    return this.#causes.size === 0
  }

  /** Undefined when ready. */
  get cause(): string | undefined {
    return this.ready ? undefined : [...this.#causes].map(([part, cause]) => `${part}: ${cause}`).join('; ')
  }
}
