/**
 * One life of the daemon in the simulated world: the real parts, wired as the daemon wires them, on ports that lose, delay,
 * repeat and kill. Managers speak to it without a network of their own.
 */
import { ChangeFollower } from '../event-handler/change-follower.ts'
import { Leadership } from '../event-handler/leadership.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Assignment } from '../model/assignment.ts'
import type { Cause } from '../model/event.ts'
import type { Host } from '../model/host.ts'
import type { HostHandler } from '../model/host-handler.ts'
import { fullestHostFirst } from '../model/ranking.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import { Policies } from '../reconcile/policies.ts'
import { keepRetention } from '../reconcile/retention.ts'
import type { ChangeFeed } from '../store/change-feed.ts'
import type { AgentReport, FleetStore } from '../store/fleet-store.ts'
import { Mirror } from '../store/mirror.ts'
import type { Redemption } from '../store/trust-store.ts'
import type { Life } from './life.ts'

/** What the daemon's own wiring makes of these ports: turns, actions, sweep. */
export interface ReconciliationPorts {
  readonly store: FleetStore
  readonly mirror: Mirror
  readonly policies: Policies
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  readonly isCurrent: () => boolean
  /** Whether a manager's stream of the host is open. */
  readonly isConnected: (hostId: string) => boolean
  readonly wake: (regionId: string, cause: Cause) => void
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
}

export interface SimulatedReconciliation {
  wake(regionId: string, cause: Cause): void
  resumeActions(): void
  start(): void
  stop(): Promise<void>
}

export interface DaemonOptions {
  readonly life: Life
  /** Unique to this life. */
  readonly holder: string
  readonly store: FleetStore
  readonly redeem: (redemption: Redemption, fence: number) => Promise<Host | undefined>
  readonly feed: ChangeFeed
  readonly handler: HostHandler
  readonly algorithm: ScalingAlgorithm
  readonly createReconciliation: (ports: ReconciliationPorts) => SimulatedReconciliation
  readonly waitingUsers: (regionId: string) => number
  readonly random: () => number
  readonly logger: Logger
}

const leaseSeconds = 15
const resyncMs = 30_000
const tickMs = 60_000
const flushMs = 60_000

export class SimulatedDaemon {
  readonly #options: DaemonOptions
  readonly mirror: Mirror
  readonly #leadership: Leadership
  readonly #follower: ChangeFollower
  readonly #reconciliation: SimulatedReconciliation
  readonly #heard = new Map<string, number>()
  #connected = new Set<string>()
  #isCurrent = false
  #isActing = false
  #isListening = false

  constructor(options: DaemonOptions) {
    this.#options = options
    const { life, store, handler, logger, random } = options
    const { clock } = life
    const wake = (regionId: string, cause: Cause): void => this.#reconciliation.wake(regionId, cause)
    const fence = (): number | undefined => this.#leadership.fence()
    this.mirror = new Mirror({
      clock,
      lastHeard: (hostId) => this.#heard.get(hostId),
      waitingUsers: options.waitingUsers,
    })
    this.#reconciliation = options.createReconciliation({
      store,
      mirror: this.mirror,
      policies: new Policies(() => Promise.resolve(options.algorithm)),
      handlerOf: () => Promise.resolve(handler),
      fence,
      isCurrent: () => this.#isCurrent,
      isConnected: (hostId) => this.#connected.has(hostId),
      wake,
      clock,
      random,
      logger,
    })
    this.#follower = new ChangeFollower({
      feed: options.feed,
      store,
      mirror: this.mirror,
      clock,
      logger,
      resyncMs,
      wake,
      onHealth: (isCurrent) => {
        this.#isCurrent = isCurrent
        if (!isCurrent) return
        this.#beginActing()
        this.#reconciliation.resumeActions()
      },
    })
    this.#leadership = new Leadership({
      store,
      clock,
      logger,
      holder: options.holder,
      leaseSeconds,
      onActive: () => {
        this.#isListening = true
        this.mirror.listenFromNow()
        this.#beginActing()
        return Promise.resolve()
      },
      onStandby: async () => {
        this.#isListening = false
        this.#connected = new Set()
        if (!this.#isActing) return
        this.#isActing = false
        await this.#reconciliation.stop()
      },
    })
  }

  start(): void {
    const { clock } = this.#options.life
    this.#follower.start()
    this.#leadership.start()
    void this.#every(tickMs, () => {
      for (const regionId of this.mirror.regionIds) this.#wake(regionId, { kind: 'tick', schedule: '' })
    })
    void this.#every(flushMs, () => this.#flush())
    const { store, logger } = this.#options
    const retention = { store, clock, logger, fence: () => this.#leadership.fence(), days: 30 }
    void keepRetention(retention, new AbortController().signal)
  }

  /** Whether managers are let in. */
  get isListening(): boolean {
    return this.#isListening && !this.#options.life.isOver
  }

  /** A fresh machine's manager: gives its host, undefined when it may not enrol. */
  enrol(redemption: Redemption): Promise<Host | undefined> {
    return this.#options.life.serve(() => this.#options.redeem(redemption, this.#fence()))
  }

  /** A manager's stream opens: undefined when its host has ended. */
  async connect(hostId: string, address: string, capacity: number): Promise<Host | undefined> {
    const { store, life } = this.#options
    const host = await life.serve(() => store.registerHost(hostId, address, capacity, this.#fence()))
    if (host === undefined || !this.isListening) return undefined
    this.#connected.add(hostId)
    this.heartbeat(hostId)
    this.#apply({ hosts: [host] })
    return host
  }

  /** Whether the stream was open. */
  heartbeat(hostId: string): boolean {
    if (!this.isListening || !this.#connected.has(hostId)) return false
    this.#heard.set(hostId, this.#options.life.clock.now())
    return true
  }

  async report(hostId: string, reports: readonly AgentReport[], isFull: boolean): Promise<void> {
    const { store, life } = this.#options
    const agents = await life.serve(() => store.reportAgents(hostId, reports, isFull, this.#fence()))
    const gone = reports.filter((report) => report.gone === true).map((report) => report.id)
    this.#apply({ agents: agents ?? [] }, { agents: gone })
  }

  disconnect(hostId: string): void {
    this.#connected.delete(hostId)
  }

  /** Give a user an agent of the region, as an assign does once its region is chosen. */
  async claim(regionId: string, userId: string, sessionId: string): Promise<Assignment | undefined> {
    const fence = this.#leadership.fence()
    const snapshot = this.mirror.snapshot(regionId)
    const image = snapshot?.activeImage
    if (fence === undefined || snapshot === undefined || image === undefined) return undefined
    const request = {
      userId,
      sessionId,
      idempotencyKey: sessionId,
      imageId: image.id,
      version: null,
      requestedAt: snapshot.now,
      demandRegionId: regionId,
      candidates: fullestHostFirst(snapshot),
      rolloutId: null,
      arm: null,
      excludedHosts: snapshot.hosts.filter(({ id }) => !this.#connected.has(id)).map(({ id }) => id),
    }
    const { store, life } = this.#options
    const assignment = await life.serve(() => store.claimAgent(regionId, fence, request))
    this.#wake(regionId, { kind: 'assign', outcome: assignment.outcome })
    return assignment
  }

  async release(userId: string, sessionId: string): Promise<void> {
    const { store, life } = this.#options
    this.#apply({ agents: await life.serve(() => store.releaseSession(userId, sessionId)) })
  }

  #beginActing(): void {
    if (this.#isActing || !this.#isCurrent || this.#leadership.fence() === undefined) return
    this.#isActing = true
    this.#reconciliation.start()
    for (const regionId of this.mirror.regionIds) this.#wake(regionId, { kind: 'resync', why: 'start' })
  }

  async #flush(): Promise<void> {
    const fence = this.#leadership.fence()
    if (fence !== undefined && this.#heard.size > 0) {
      await this.#options.store.flushHeartbeats(this.#heard, fence)
    }
  }

  async #every(ms: number, work: () => void | Promise<void>): Promise<void> {
    for (;;) {
      await this.#options.life.clock.sleep(ms)
      try {
        await work()
      } catch {
        // The database is away: the next time will do.
      }
    }
  }

  #apply(...[rows, asked]: Parameters<Mirror['apply']>): void {
    for (const regionId of this.mirror.apply(rows, asked)) {
      this.#wake(regionId, { kind: 'change', table: 'agents' })
    }
  }

  #wake(regionId: string, cause: Cause): void {
    this.#reconciliation.wake(regionId, cause)
  }

  /** A number that no lease has while there is none. */
  #fence(): number {
    return this.#leadership.fence() ?? 0
  }
}
