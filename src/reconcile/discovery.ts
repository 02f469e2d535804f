/**
 * How many agents a host of a region holds, where the region's row leaves it to the instance type: its provider is
 * asked, the smallest of what it may give is stored, and the region is planned by that. Nothing is launched in a region
 * before it is known; why it is not stands in the region's row.
 */
import { isAborted } from '../lib/aborted.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import { LaunchError } from '../model/host-handler.ts'
import type { HostHandler, ProviderRegion } from '../model/host-handler.ts'
import type { Discovered, FleetStore, Rows } from '../store/fleet-store.ts'

export interface DiscoveryOptions {
  readonly store: Pick<FleetStore, 'storeDiscovery'>
  readonly mirror: {
    readonly regionIds: readonly string[]
    onChange(listener: (regionId: string) => void): () => void
    apply(rows: Partial<Rows>): unknown
  }
  readonly regionOf: (regionId: string) => ProviderRegion | undefined
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  readonly wake: (regionId: string) => void
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1, of back-offs. Math.random unless told. */
  readonly random?: () => number
}

/** How old an answer may be, in milliseconds: instance types change rarely. */
const freshForMs = 60 * 60_000
const retry = { firstMs: 1_000, longestMs: 5 * 60_000, jitter: 0.2 }

interface Inquiry {
  /** What was asked about: another row is another question. */
  readonly about: string
  readonly stop: () => void
}

export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #inquiries = new Map<string, Inquiry>()
  #endListening = (): void => undefined
  #stopping = new AbortController()

  constructor(options: DiscoveryOptions) {
    this.#options = options
  }

  start(): void {
    const { mirror } = this.#options
    this.#stopping = new AbortController()
    this.#endListening = mirror.onChange((regionId) => this.#look(regionId))
    for (const regionId of mirror.regionIds) this.#look(regionId)
  }

  stop(): void {
    this.#endListening()
    this.#stopping.abort()
    for (const { stop } of this.#inquiries.values()) stop()
    this.#inquiries.clear()
  }

  #look(regionId: string): void {
    const region = this.#options.regionOf(regionId)
    const about =
      region?.agentsPerHost === null ? JSON.stringify([region.instanceTypes, region.providerOptions]) : ''
    const known = this.#inquiries.get(regionId)
    if ((known?.about ?? '') === about) return
    known?.stop()
    this.#inquiries.delete(regionId)
    if (about === '') return
    const asking = new AbortController()
    this.#inquiries.set(regionId, { about, stop: () => asking.abort() })
    void this.#keepAsking(regionId, AbortSignal.any([asking.signal, this.#stopping.signal]))
  }

  async #keepAsking(regionId: string, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    for (let failures = 0; !signal.aborted;) {
      try {
        const found = await this.#ask(regionId, signal)
        if (isAborted(signal)) return
        await this.#store(regionId, found)
        failures = 'agents' in found ? 0 : failures + 1
        if (failures === 1) logger.warn({ regionId, outcome: 'code' in found && found.code }, 'discovery')
      } catch (error) {
        if (isAborted(signal)) return
        failures += 1
        if (failures === 1) logger.warn({ regionId, err: error }, 'discovery')
      }
      const waitMs = failures === 0 ? freshForMs : backoffMs(failures, retry, this.#options.random)
      await clock.sleep(waitMs, signal).catch(() => undefined)
    }
  }

  async #ask(regionId: string, signal: AbortSignal): Promise<Discovered> {
    try {
      const handler = await this.#options.handlerOf(regionId)
      const region = this.#options.regionOf(regionId)
      if (handler.offerings === undefined || region === undefined) return { agents: 1 }
      const offerings = await handler.offerings(region, signal)
      return { agents: Math.max(1, Math.min(1000, ...offerings.map(({ agents }) => agents))) }
    } catch (error) {
      if (signal.aborted) throw error
      const code = error instanceof LaunchError || error instanceof MusterError ? error.code : 'unknown'
      return { code, message: error instanceof Error ? error.message : String(error) }
    }
  }

  async #store(regionId: string, found: Discovered): Promise<void> {
    const { store, mirror, fence, wake } = this.#options
    const lease = fence()
    if (lease === undefined) return
    const region = await store.storeDiscovery(regionId, lease, found)
    if (region === undefined) return
    mirror.apply({ regions: [region] })
    wake(regionId)
  }
}
