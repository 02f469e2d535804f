/** How often each thing has happened since the start: what a counter of `/metrics` reads when it is scraped. */
export class Tally<Name extends string> {
  readonly #counts = new Map<string, { readonly labels: Readonly<Record<Name, string>>; count: number }>()

  add(labels: Readonly<Record<Name, string>>): void {
    const key = JSON.stringify(Object.entries<string>(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    const known = this.#counts.get(key)
    if (known === undefined) this.#counts.set(key, { labels, count: 1 })
    else known.count += 1
  }

  /** Each combination of labels that has happened, with how often. */
  get counts(): readonly { readonly labels: Readonly<Record<Name, string>>; readonly count: number }[] {
    return [...this.#counts.values()]
  }
}
