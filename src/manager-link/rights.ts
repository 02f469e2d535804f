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

  /**
   * Everything.
   * @param isHeard whether what changes from now on is heard; if not, nobody new is let in by what is read.
   * @throws MusterError as the store does
   */
  async rebuild(isHeard = true): Promise<void> {
    const { trust, allowList } = this.#options
    const reading = allowList.reading()
    const passedOver = reading.replace(await trust.readAllowed(), isHeard)
    if (passedOver.length > 0) await this.changed({ serials: passedOver, backendIds: [] })
  }

  /** The database has answered that these are none any more: cut now, whatever can be read afterwards. */
  taken(of: { readonly serials: readonly string[]; readonly backendIds: readonly string[] }): void {
    const { allowList } = this.#options
    allowList.remove(of.serials)
    for (const backendId of of.backendIds) allowList.removeBackend(backendId)
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
    const passedOver = reading.apply(live, gone, of.backendIds)
    if (passedOver.length > 0) await this.changed({ serials: passedOver, backendIds: [] })
  }
}
