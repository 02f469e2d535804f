/**
 * The sweep compares the cloud's list with the rows, both ways: at start, every few minutes, and when somebody asks. The
 * list comes first, then the rows, from the tables: a machine that was launched in between is in the rows, never a
 * stranger. A list that fails, or lacks a page, is no look at all, and what was found before it is forgotten.
 *
 * It binds machines to their rows by itself. All else is handed to the region's turns as findings, which decide them,
 * within the blast radius, and put them on record. Each region is looked at by itself: a slow provider holds no other.
 */
import { isAborted } from '../lib/aborted.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { UpkeepDecision } from '../model/decision.ts'
import { MusterError } from '../model/errors.ts'
import type { Cause } from '../model/event.ts'
import type { CloudHost, HostHandler } from '../model/host-handler.ts'
import type { SweepHost, SweepReport } from '../model/sweep.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import type { SweepMemory, SweepResult } from './sweep-findings.ts'
import { noMemory, sweepFindings } from './sweep-findings.ts'
import { sweepReport } from './sweep-report.ts'

export interface SweepOptions {
  readonly store: Pick<FleetStore, 'readSweepRows' | 'bindLaunch'>
  readonly mirror: Mirror
  readonly clock: Clock
  readonly logger: Logger
  readonly fleetId: () => string
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  readonly isConnected: (hostId: string) => boolean
  readonly wake: (regionId: string, cause: Cause) => void
  readonly intervalMs: number
  readonly graceMs: number
  readonly missingMs: number
}

/** A list of ten thousand machines, throttled, ends within this, in milliseconds; one that hangs ends then too. */
const lookWithinMs = 10 * 60_000

/** A label is a request of its own: many are put on over several looks. */
const labelsOfLook = 50

export class Sweep {
  readonly #options: SweepOptions
  readonly #memory = new Map<string, SweepMemory>()
  readonly #findings = new Map<string, readonly UpkeepDecision[]>()
  readonly #lastLooks = new Map<string, number>()
  /** Of each region the last look that was begun. */
  readonly #looks = new Map<string, Promise<unknown>>()
  #stopping: AbortController | undefined
  #loop: Promise<void> = Promise.resolve()

  constructor(options: SweepOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopping = new AbortController()
    for (const held of [this.#memory, this.#findings, this.#lastLooks]) held.clear()
    this.#loop = this.#run(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping?.abort(new Error('the daemon stops'))
    this.#stopping = undefined
    await Promise.all([this.#loop, ...this.#looks.values()])
  }

  /** What is certain about a region since its last look and has not been done yet. */
  findings(regionId: string): readonly UpkeepDecision[] {
    const found = this.#findings.get(regionId) ?? []
    // A manager may have come back since the look.
    return found.filter(
      (decision) => decision.kind !== 'host-gone' || !this.#options.isConnected(decision.hostId),
    )
  }

  /** A turn has stored what it did of the findings; the rest waits for another. */
  decided(regionId: string, held: readonly UpkeepDecision[]): void {
    const found = this.#findings.get(regionId)
    if (found === undefined) return
    this.#findings.set(
      regionId,
      found.filter((decision) => held.includes(decision)),
    )
  }

  /** When the region's last whole look ended, in milliseconds since the epoch; undefined before the first. */
  lastLook(regionId: string): number | undefined {
    return this.#lastLooks.get(regionId)
  }

  /**
   * A look now, after the one that is under way. `isDry`: nothing is bound, remembered or handed to a turn.
   * @throws MusterError `unavailable` while this daemon is not the active one, `not-found`
   */
  async look(regionId: string, { isDry }: { readonly isDry: boolean }): Promise<SweepReport> {
    const signal = this.#stopping?.signal
    if (signal === undefined) throw new MusterError('unavailable', 'this daemon is not the active one')
    if (this.#options.mirror.region(regionId) === undefined) {
      throw new MusterError('not-found', `there is no region ${JSON.stringify(regionId)}`)
    }
    return this.#afterEarlier(regionId, () => this.#tryLook(regionId, isDry, signal))
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs, mirror } = this.#options
    while (!signal.aborted) {
      for (const regionId of mirror.regionIds) {
        if (!this.#looks.has(regionId)) {
          void this.#afterEarlier(regionId, () => this.#tryLook(regionId, false, signal))
        }
      }
      await clock.sleep(intervalMs, signal).catch(() => undefined)
    }
  }

  async #afterEarlier<T>(regionId: string, step: () => Promise<T>): Promise<T> {
    const earlier = this.#looks.get(regionId)
    const mine = (async () => {
      await earlier?.catch(() => undefined)
      return step()
    })()
    this.#looks.set(regionId, mine)
    try {
      return await mine
    } finally {
      if (this.#looks.get(regionId) === mine) this.#looks.delete(regionId)
    }
  }

  /** Never throws. */
  async #tryLook(regionId: string, isDry: boolean, stopping: AbortSignal): Promise<SweepReport> {
    const { clock, logger } = this.#options
    const late = new AbortController()
    const cancel = clock.after(lookWithinMs, () =>
      late.abort(new Error(`the provider's list did not end within ${lookWithinMs / 1000} s`)),
    )
    try {
      return await this.#look(regionId, isDry, AbortSignal.any([stopping, late.signal]))
    } catch (error) {
      // What an hour-old list said must not be done when a budget frees: the next look says it again.
      if (!isDry) this.#findings.delete(regionId)
      if (!isAborted(stopping)) logger.warn({ regionId, err: error }, 'sweep failed')
      const failure = error instanceof Error ? error.message : String(error)
      return { regionId, failure, machines: 0, hosts: 0, findings: [] }
    } finally {
      cancel()
    }
  }

  async #look(regionId: string, isDry: boolean, signal: AbortSignal): Promise<SweepReport> {
    const { store, mirror, clock, wake, fence, isConnected, graceMs, missingMs } = this.#options
    const handler = await this.#options.handlerOf(regionId)
    const startedAt = clock.now()
    const machines = await this.#list(handler, regionId, signal)
    const look = { startedAt, endedAt: clock.now() }
    const rows = await store.readSweepRows(regionId, machines)
    await clock.nextRound()
    if (isAborted(signal)) throw signal.reason as Error
    if (fence() === undefined) throw new MusterError('unavailable', 'this daemon is not the active one')
    const result = sweepFindings({
      ...{ look, graceMs, missingMs, rows, machines, isConnected },
      listsMachines: handler.listsMachines ?? true,
      memory: this.#memory.get(regionId) ?? noMemory,
    })
    await clock.nextRound()
    if (!isDry) {
      this.#memory.set(regionId, result.memory)
      this.#findings.set(regionId, result.decisions)
      this.#lastLooks.set(regionId, look.endedAt)
      await this.#adopt(regionId, result)
      if (result.decisions.length > 0) wake(regionId, { kind: 'sweep' })
      await this.#label(handler, regionId, rows.hosts, machines, signal)
    }
    const snapshot = mirror.snapshot(regionId)
    return sweepReport({ regionId, rows, machines: machines.length, result, snapshot })
  }

  /** The whole list, of this fleet only; throws when any of it cannot be had. */
  async #list(handler: HostHandler, regionId: string, signal: AbortSignal): Promise<readonly CloudHost[]> {
    const fleetId = this.#options.fleetId()
    const machines: CloudHost[] = []
    const foreign: string[] = []
    const pages = handler.list(regionId, signal)[Symbol.asyncIterator]()
    for (;;) {
      // A provider that does not heed its signal must hold neither the sweep nor a daemon that stops.
      const next = await unlessAborted(pages.next(), signal)
      if (next.done === true) break
      if (next.value.fleetId === fleetId) machines.push(next.value)
      else foreign.push(next.value.cloudId)
    }
    if (foreign.length > 0) {
      const line = { regionId, fleetId, count: foreign.length, cloudIds: foreign.slice(0, 20) }
      this.#options.logger.warn(line, 'the provider lists machines of another fleet: they are left alone')
    }
    return machines
  }

  /** For people only: a failure is put off until the next look. */
  async #label(
    handler: HostHandler,
    regionId: string,
    hosts: readonly SweepHost[],
    machines: readonly CloudHost[],
    signal: AbortSignal,
  ): Promise<void> {
    if (handler.label === undefined) return
    const labels = labelsMissing(hosts, machines)
    if (labels.size === 0) return
    try {
      await unlessAborted(handler.label(labels, regionId, signal), signal)
    } catch (error) {
      if (isAborted(signal)) throw error
      this.#options.logger.warn(
        { regionId, count: labels.size, err: error },
        'machines could not be labelled',
      )
    }
  }

  async #adopt(regionId: string, { adoptions, contradictions }: SweepResult): Promise<void> {
    const { store, mirror, logger } = this.#options
    for (const { launchId, cloudIds } of adoptions) {
      mirror.apply({ hosts: await store.bindLaunch(launchId, cloudIds) })
      logger.info({ regionId, launchId, cloudIds }, 'adopted')
    }
    if (contradictions.length === 0) return
    const line = { regionId, count: contradictions.length, hostIds: contradictions.slice(0, 20) }
    logger.warn(line, 'the provider does not list machines whose managers are connected')
  }
}

/** Machines whose label is not their host's id; those that it still lacks come at the next looks. */
function labelsMissing(
  hosts: readonly SweepHost[],
  machines: readonly CloudHost[],
): ReadonlyMap<string, string> {
  const labels = new Map(machines.map((machine) => [machine.cloudId, machine.label]))
  const missing = hosts.flatMap(({ id, cloudId, status }) =>
    status !== 'TERMINATED' && cloudId !== null && labels.has(cloudId) && labels.get(cloudId) !== id
      ? [[cloudId, id] as const]
      : [],
  )
  return new Map(missing.slice(0, labelsOfLook))
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => undefined)
    throw signal.reason as Error
  }
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    promise.catch(() => undefined)
  }
}
