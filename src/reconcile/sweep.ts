/**
 * The sweep compares the cloud's list with the rows, both ways: at start and every few minutes. The list comes first,
 * then the rows by key: a machine that was launched in between is in the rows, never a stranger. It acts past a grace
 * time and on two looks only (sweep-findings.ts decides), and its findings are decided and recorded by the region's
 * next turn.
 */
import { isAborted } from '../lib/aborted.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { UpkeepDecision } from '../model/decision.ts'
import type { Cause } from '../model/event.ts'
import type { CloudHost, HostHandler } from '../model/host-handler.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import type { SweepSuspects } from './sweep-findings.ts'
import { noSuspects, sweepFindings } from './sweep-findings.ts'

export interface SweepOptions {
  readonly store: Pick<FleetStore, 'readRegion' | 'bindLaunch' | 'readOpenActions'>
  readonly mirror: Mirror
  readonly clock: Clock
  readonly logger: Logger
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  readonly wake: (regionId: string, cause: Cause) => void
  readonly intervalMs: number
  readonly graceMs: number
}

export class Sweep {
  readonly #options: SweepOptions
  readonly #suspects = new Map<string, SweepSuspects>()
  readonly #findings = new Map<string, readonly UpkeepDecision[]>()
  #stopping = new AbortController()
  #loop: Promise<void> = Promise.resolve()

  constructor(options: SweepOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopping = new AbortController()
    this.#suspects.clear()
    this.#findings.clear()
    this.#loop = this.#run(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
  }

  /** What was found in a region and has not been handed to a turn yet. */
  takeFindings(regionId: string): readonly UpkeepDecision[] {
    const found = this.#findings.get(regionId) ?? []
    this.#findings.delete(regionId)
    return found
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs, graceMs, logger, mirror } = this.#options
    while (!signal.aborted) {
      for (const regionId of mirror.regionIds) {
        if (isAborted(signal)) return
        try {
          await this.#sweepRegion(regionId, signal)
        } catch (error) {
          if (!isAborted(signal)) logger.warn({ regionId, err: error }, 'sweep failed')
        }
      }
      // A first look that found something is followed by the second as soon as it counts.
      const isWaiting = [...this.#suspects.values()].some((suspects) => suspects.size > 0)
      await clock.sleep(isWaiting ? Math.min(graceMs, intervalMs) : intervalMs, signal).catch(() => undefined)
    }
  }

  async #sweepRegion(regionId: string, signal: AbortSignal): Promise<void> {
    const { store, mirror, clock, logger, handlerOf, wake, graceMs } = this.#options
    const handler = await handlerOf(regionId)
    const machines: CloudHost[] = []
    for await (const machine of handler.list(regionId, signal)) machines.push(machine)
    const openActions = await store.readOpenActions()
    const rows = await store.readRegion(regionId)
    if (rows === undefined || this.#options.fence() === undefined) return
    const result = sweepFindings({
      now: clock.now(),
      graceMs,
      hosts: rows.hosts,
      machines,
      listsMachines: handler.listsMachines ?? true,
      openActions,
      suspects: this.#suspects.get(regionId) ?? noSuspects,
    })
    this.#suspects.set(regionId, result.suspects)
    for (const { launchId, cloudIds } of result.adoptions) {
      mirror.apply({ hosts: await store.bindLaunch(launchId, cloudIds) })
      logger.info({ regionId, launchId, cloudIds }, 'adopted')
    }
    if (result.decisions.length === 0) return
    this.#findings.set(regionId, result.decisions)
    wake(regionId, { kind: 'sweep' })
  }
}
