import { backoffMs } from '../lib/backoff.ts'
import { MusterError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import type { InterruptionNotice } from '../model/interruption.ts'
import type { KnownAgents } from './known-agents.ts'
import type { ManagerLinkOptions } from './seams.ts'

const retry = { firstMs: 100, longestMs: 2_000, jitter: 0.5 }

interface HostWriterEvents {
  /** The manager has agents that the database does not take. */
  readonly onUnwanted: (agentIds: readonly string[]) => void
  /** The rows of these agents are deleted. */
  readonly onGone: (agentIds: readonly string[]) => void
  /** The provider's notice is in the rows. */
  readonly onInterrupted: () => void
  /** The database has no such host any more, or another daemon is active. */
  readonly onRefused: () => void
}

/**
 * The one writer of a host: what its manager says goes to the database in order, one statement at a time, with
 * everything that came meanwhile merged into the next. While the database is away it keeps trying, and tells all.
 */
export class HostWriter {
  readonly #options: Pick<ManagerLinkOptions, 'store' | 'fence' | 'hostOf' | 'applyRows' | 'clock' | 'logger'>
  readonly #hostId: string
  readonly #agents: KnownAgents
  readonly #events: HostWriterEvents
  readonly #closing = new AbortController()
  #registration: { readonly address: string; readonly capacity: number } | undefined
  /** What the provider says, until it is stored; the earliest of each kind. */
  readonly #notices = new Map<InterruptionNotice['kind'], InterruptionNotice>()
  #running: Promise<void> | undefined

  constructor(
    options: Pick<ManagerLinkOptions, 'store' | 'fence' | 'hostOf' | 'applyRows' | 'clock' | 'logger'>,
    host: { readonly id: string; readonly agents: KnownAgents },
    events: HostWriterEvents,
  ) {
    this.#options = options
    this.#hostId = host.id
    this.#agents = host.agents
    this.#events = events
  }

  /**
   * The first write, in the open: all the agents of the host, whose row is of this moment.
   * @throws MusterError as the store does
   */
  async introduce(host: Host): Promise<void> {
    this.#options.applyRows({ hosts: [host] })
    await this.#report()
  }

  /** The host's capacity changed, or it is to come back from UNRESPONSIVE. */
  register(address: string, capacity: number): void {
    this.#registration = { address, capacity }
    this.wake()
  }

  /** Its provider takes the machine: told before all else. */
  reportInterruption(notice: InterruptionNotice): void {
    const told = this.#notices.get(notice.kind)
    if (told === undefined || notice.at < told.at) this.#notices.set(notice.kind, notice)
    this.wake()
  }

  /** There may be something to write. */
  wake(): void {
    if (this.#running !== undefined || this.#closing.signal.aborted || !this.#hasWork()) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      this.wake()
    })
  }

  /** Resolves once nothing is under way any more; what was not written is told by the next Hello. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    for (let failures = 0; this.#hasWork() && !this.#closing.signal.aborted;) {
      const failure = await this.#writeOnce()
      failures = failure === undefined ? 0 : failures + 1
      if (failure === undefined) continue
      if (failures === 1) {
        this.#options.logger.warn({ hostId: this.#hostId, err: failure }, 'reports kept for later')
      }
      await this.#options.clock.sleep(backoffMs(failures, retry), this.#closing.signal).catch(() => undefined)
    }
  }

  /** Gives why nothing was written. */
  async #writeOnce(): Promise<unknown> {
    const registration = this.#registration
    try {
      for (const notice of this.#notices.values()) await this.#interrupt(notice)
      if (registration !== undefined) {
        await this.#register(registration.address, registration.capacity)
        if (this.#registration === registration) this.#registration = undefined
      }
      if (this.#agents.isWritten) return undefined
      await this.#report()
      return undefined
    } catch (error) {
      return error
    }
  }

  async #register(address: string, capacity: number): Promise<void> {
    const host = await this.#options.store.registerHost(this.#hostId, address, capacity, this.#fence())
    if (host !== undefined) this.#options.applyRows({ hosts: [host] })
  }

  async #interrupt(notice: InterruptionNotice): Promise<void> {
    const { store, applyRows, logger } = this.#options
    const host = await store.reportInterruption(this.#hostId, notice, this.#fence())
    if (this.#notices.get(notice.kind) === notice) this.#notices.delete(notice.kind)
    if (host === undefined) return
    const at = new Date(notice.at).toISOString()
    logger.warn({ hostId: this.#hostId, region: host.regionId, ...notice, at }, 'provider takes the machine')
    applyRows({ hosts: [host] })
    this.#events.onInterrupted()
  }

  async #report(): Promise<void> {
    const { store, hostOf, applyRows } = this.#options
    const fence = this.#fence()
    const batch = this.#agents.takeBatch()
    // Only rows that were known before the call can be missing from its answer: others may be younger than it.
    const held = batch.isFull ? (hostOf(this.#hostId)?.agents ?? []).map((agent) => agent.id) : []
    let answer
    try {
      answer = await store.reportAgents(this.#hostId, batch.reports, batch.isFull, fence)
    } finally {
      if (answer === undefined) this.#agents.writeAllAgain()
    }
    if (answer === undefined) {
      this.#events.onRefused()
      throw new MusterError('database-refused', `no report of host ${this.#hostId} is taken`)
    }
    const gone = this.#agents.written(batch)
    applyRows({ agents: answer }, { agents: [...new Set([...held, ...gone])] })
    const present = new Set(answer.map((agent) => agent.id))
    const unwanted = batch.reports.filter((report) => report.gone !== true && !present.has(report.id))
    if (unwanted.length > 0) this.#events.onUnwanted(unwanted.map((report) => report.id))
    if (gone.length > 0) this.#events.onGone(gone)
  }

  #fence(): number {
    // Fence 0 is nobody's: the database refuses it.
    return this.#options.fence() ?? 0
  }

  #hasWork(): boolean {
    return this.#notices.size > 0 || this.#registration !== undefined || !this.#agents.isWritten
  }
}
