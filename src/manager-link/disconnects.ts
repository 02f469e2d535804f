import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { TrustStore } from '../store/trust-store.ts'

export interface DisconnectsOptions {
  readonly trust: Pick<TrustStore, 'disconnectBackends'>
  readonly fence: () => number | undefined
  readonly clock: Clock
  readonly logger: Logger
}

const gatherMs = 50
const retryMs = 1_000

/**
 * Writes which backends have lost their stream, many in one statement. A backend that connects again is taken out first,
 * or waited for: its row must not be told of the earlier end after the new beginning.
 */
export class Disconnects {
  readonly #options: DisconnectsOptions
  #pending = new Set<string>()
  #underWay: { readonly ids: ReadonlySet<string>; readonly done: Promise<void> } | undefined
  #cancel: (() => void) | undefined

  constructor(options: DisconnectsOptions) {
    this.#options = options
  }

  add(backendId: string): void {
    this.#pending.add(backendId)
    this.#later(gatherMs)
  }

  /** Resolves once nothing will be written of this backend any more. */
  async forget(backendId: string): Promise<void> {
    this.#pending.delete(backendId)
    const { ids, done } = this.#underWay ?? {}
    if (ids?.has(backendId) !== true) return
    await done
    this.#pending.delete(backendId)
  }

  /** All of them, whoever held them: this daemon begins, or ends. Never throws. */
  async all(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#pending.clear()
    await this.#underWay?.done
    await this.#write(undefined)
  }

  #later(ms: number): void {
    this.#cancel ??= this.#options.clock.after(ms, () => {
      this.#cancel = undefined
      if (this.#underWay === undefined) this.#flush()
    })
  }

  #flush(): void {
    const ids = this.#pending
    if (ids.size === 0) return
    this.#pending = new Set()
    const done = this.#write([...ids]).then((isWritten) => {
      this.#underWay = undefined
      if (!isWritten) for (const id of ids) this.#pending.add(id)
      if (this.#pending.size > 0) this.#later(isWritten ? 0 : retryMs)
    })
    this.#underWay = { ids, done }
  }

  async #write(ids: readonly string[] | undefined): Promise<boolean> {
    const { trust, fence, logger } = this.#options
    const number = fence()
    // Another daemon says of all that they are gone, when it begins.
    if (number === undefined) return true
    try {
      await trust.disconnectBackends(ids, number)
      return true
    } catch (error) {
      logger.debug({ err: error, backends: ids?.length }, 'ended streams not written')
      return false
    }
  }
}
