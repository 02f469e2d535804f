import type { TrustStore } from '../store/trust-store.ts'
import type { AllowList } from '../trust/allow-list.ts'

export interface RightsOptions {
  readonly trust: Pick<TrustStore, 'readAllowed' | 'readAllowedOf'>
  readonly allowList: AllowList
}

/** Reads from the database who may connect, into the allow-list. What loses its right there is cut by who listens to it. */
export class Rights {
  readonly #options: RightsOptions

  constructor(options: RightsOptions) {
    this.#options = options
  }

  /** Everything. @throws MusterError as the store does */
  async rebuild(): Promise<void> {
    const { trust, allowList } = this.#options
    const reading = allowList.reading()
    const passedOver = reading.replace(await trust.readAllowed())
    if (passedOver.length > 0) await this.changed({ serials: passedOver, backendIds: [] })
  }

  /** These certificates, and those of these backends. @throws MusterError as the store does */
  async changed(of: {
    readonly serials: readonly string[]
    readonly backendIds: readonly string[]
  }): Promise<void> {
    const { trust, allowList } = this.#options
    const reading = allowList.reading()
    // Those that are held now: one that is issued while this is read is not in the answer, and lives.
    const held = [...of.serials, ...of.backendIds.flatMap((backendId) => allowList.of(backendId))]
    const live = await trust.readAllowedOf(of)
    const serials = new Set(live.map(({ serial }) => serial))
    const gone = held.filter((serial) => !serials.has(serial))
    const passedOver = reading.apply(live, gone)
    if (passedOver.length > 0) await this.changed({ serials: passedOver, backendIds: [] })
  }
}
