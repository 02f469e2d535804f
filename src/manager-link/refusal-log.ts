import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'

/** One line for each address and reason in this time, however many are refused. */
const quietMs = 10_000
const mostRemembered = 1_000

/** Says who was turned away at the managers' port, without letting strangers fill the disk. */
export class RefusalLog {
  readonly #clock: Pick<Clock, 'now'>
  readonly #logger: Logger
  #said = new Map<string, { readonly at: number; more: number }>()

  constructor(clock: Pick<Clock, 'now'>, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** @param details are those of the first of many. */
  refused(address: string, reason: string, details: Readonly<Record<string, unknown>> = {}): void {
    const now = this.#clock.now()
    const key = `${reason} ${address}`
    const last = this.#said.get(key)
    if (last !== undefined && now - last.at < quietMs) {
      last.more += 1
      return
    }
    if (this.#said.size >= mostRemembered) this.#said = new Map()
    this.#said.set(key, { at: now, more: 0 })
    this.#logger.warn(
      { address, reason, ...details, alike: last?.more ?? 0 },
      'connection refused at the managers’ port',
    )
  }
}
