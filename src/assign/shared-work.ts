/** Runs a piece of work once for all who ask for it at the same time; it is aborted only when all of them have gone. */
interface UnderWay<T> {
  readonly result: Promise<T>
  readonly abort: AbortController
  interested: number
}

export class SharedWork<T> {
  readonly #underWay = new Map<string, UnderWay<T>>()

  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (;;) {
      const held = this.#underWay.get(key)
      if (held === undefined) break
      if (!held.abort.signal.aborted) return await this.#follow(held, signal)
      // It is being undone: who comes now must find it undone, not half there.
      await held.result.catch(() => undefined)
    }
    const abort = new AbortController()
    const started: UnderWay<T> = { result: work(abort.signal), abort, interested: 0 }
    this.#underWay.set(key, started)
    try {
      return await this.#follow(started, signal)
    } finally {
      // Not before the work itself has ended: #follow waits for it, also when everybody has gone.
      this.#underWay.delete(key)
    }
  }

  async #follow(work: UnderWay<T>, signal: AbortSignal): Promise<T> {
    work.interested += 1
    const leave = () => {
      work.interested -= 1
      if (work.interested === 0) work.abort.abort(signal.reason)
    }
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    try {
      return await work.result
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }
}
