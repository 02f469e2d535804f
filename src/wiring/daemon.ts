/**
 * The daemon's parts, each handed what it needs. Follows the changes from the start; decides, acts and lets managers in
 * only while the lease is its own.
 */
import { randomUUID } from 'node:crypto'

import type { Environment } from '../../config/environment.ts'
import type { VersionImages } from '../../config/images.ts'
import type { Config } from '../../config/load.ts'
import { loadAlgorithm } from '../../scaling-algorithms/index.ts'
import type { SweepDesk } from '../api/sweep-desk.ts'
import { Assigner } from '../assign/assigner.ts'
import type { Backends } from '../backends/backends.ts'
import { untilUsable } from '../boot.ts'
import { ChangeFollower } from '../event-handler/change-follower.ts'
import { Leadership } from '../event-handler/leadership.ts'
import { startTicks } from '../event-handler/ticks.ts'
import type { HasuraClient } from '../hasura/client.ts'
import { createChangeFeed } from '../hasura/hasura-change-feed.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Health } from '../lib/health.ts'
import type { Logger } from '../lib/logger.ts'
import { Tally } from '../lib/tally.ts'
import type { WebSocketDoor } from '../manager-link/web-socket-door.ts'
import type { Cause } from '../model/event.ts'
import { Policies } from '../reconcile/policies.ts'
import { keepRetention } from '../reconcile/retention.ts'
import type { RowHint } from '../store/change-feed.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { Mirror } from '../store/mirror.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { startImagesOfFile } from './images-file.ts'
import type { Managers } from './managers.ts'
import { createManagers } from './managers.ts'
import { createProviders } from './providers.ts'
import type { Reconciliation } from './reconciliation.ts'
import { createReconciliation } from './reconciliation.ts'
import { createTrust } from './trust.ts'

/** At start, the managers' port may still be held for a moment by the daemon that went before. */
const portPatienceMs = 3_000

export interface DaemonOptions {
  readonly config: Config
  /** To be rolled out where they are new. */
  readonly images: VersionImages | undefined
  readonly logger: Logger
  /** What local hosts may inherit from. */
  readonly environment: Environment
  /** Something without which the daemon cannot go on; the caller stops it. */
  readonly onFatal: (error: unknown) => void
  readonly clock: Clock
  readonly health: Health
  readonly client: HasuraClient
  readonly store: FleetStore
  readonly trustStore: TrustStore
  readonly fault: FaultPoint
  readonly stopping: AbortSignal
}

export interface Daemon {
  readonly mirror: Mirror
  readonly assigner: Assigner
  /** Calls of launches since the start. */
  readonly launches: Tally<'region' | 'outcome'>
  readonly backends: Backends
  readonly sweep: SweepDesk
  /** Managers that come through the HTTP API. */
  readonly webSockets: WebSocketDoor
  readonly wake: (regionId: string, cause: Cause) => void
  readonly hint: (rows: readonly RowHint[]) => boolean
  /** From the first query to subscribed and leading; resolves when the signal is aborted before that. */
  boot(): Promise<void>
  stop(): Promise<void>
}

/** What decides, acts and speaks with managers. */
export function createDaemon(options: DaemonOptions): Daemon {
  const { config, clock, logger, health, store, trustStore, fault } = options
  const { settings } = config
  let isCurrent = false
  let isActing = false
  let fleetId = ''

  const wake = (regionId: string, cause: Cause): void => {
    reconciliation.wake(regionId, cause)
    // Who waits may be served by a host whose stream is back: no row tells.
    if (cause.kind === 'manager' && cause.what === 'connected') assigner.recheck(regionId)
  }
  const fence = (): number | undefined => leadership.fence()
  const policies = new Policies(loadAlgorithm)
  const mirror: Mirror = new Mirror({
    clock,
    lastHeard: (hostId) => link.lastHeard(hostId),
    waitingUsers: (regionId) => assigner.waitingUsers(regionId),
    waitingUsersOf: (regionId) => assigner.waitingUsersOf(regionId),
  })
  const trust = createTrust({ config, store: trustStore, clock, logger })
  const managers: Managers = createManagers({
    ...{ config, store, trustStore, trust, mirror, wake, fence, clock, logger, fault },
    fleetId: () => fleetId,
  })
  const { link } = managers
  const assigner: Assigner = new Assigner({
    store,
    view: mirror,
    sessions: link,
    leadership: { fence },
    rank: (regionId, snapshot, request) => policies.rank(regionId, snapshot, request),
    wake,
    clock,
    logger,
    newId: randomUUID,
  })

  const handlerOf = createProviders({
    config,
    environment: options.environment,
    clock,
    fault,
    fleetId: () => fleetId,
    providerOf: (regionId) => mirror.region(regionId)?.provider,
    daemonAddresses: managers.addresses,
  })

  const launches = new Tally<'region' | 'outcome'>()
  const reconciliation: Reconciliation = createReconciliation({
    ...{ config, store, trust, mirror, policies, handlerOf, wake, fence, clock, logger, fault },
    fleetId: () => fleetId,
    isCurrent: () => isCurrent,
    launches,
    isConnected: (hostId) => link.isConnected(hostId),
  })

  let newImages = options.images
  let acting = new AbortController()
  const startNewImages = async (signal: AbortSignal): Promise<void> => {
    if (newImages === undefined) return
    const isDone = await startImagesOfFile(
      { store, images: newImages, newId: randomUUID, clock, logger },
      signal,
    )
    if (isDone) newImages = undefined
  }

  /** Act once the lease is ours, the rows are known, and there is a port for the managers of what is launched. */
  const beginActing = (): void => {
    if (isActing || !isCurrent || fence() === undefined || link.port === undefined) return
    isActing = true
    acting = new AbortController()
    void startNewImages(acting.signal)
    reconciliation.start()
    for (const regionId of mirror.regionIds) wake(regionId, { kind: 'resync', why: 'start' })
  }
  const endActing = async (): Promise<void> => {
    if (!isActing) return
    isActing = false
    acting.abort()
    await reconciliation.stop()
  }

  const follower = new ChangeFollower({
    feed: createChangeFeed(options.client, clock),
    store,
    mirror,
    clock,
    logger,
    resyncMs: settings.MUSTER_RESYNC_S * 1000,
    wake,
    trust: trust.rights,
    onHealth: (current, cause) => {
      isCurrent = current
      // What is revoked now would not be heard: nobody new until all is read again.
      if (!current) trust.allowList.distrust()
      health.set('database', current ? undefined : cause)
      if (!current) return
      health.set('start', undefined)
      beginActing()
      // What was committed while nobody listened may hold actions that were never handed on.
      reconciliation.resumeActions()
    },
  })
  const leadership: Leadership = new Leadership({
    store,
    clock,
    logger,
    holder: randomUUID(),
    leaseSeconds: settings.MUSTER_LEASE_S,
    onActive: async (isTakeOver) => {
      // At a take-over the other may still be about to notice; the lease must be renewed in time all the same.
      const patienceMs = isTakeOver ? (settings.MUSTER_LEASE_S * 1000) / 2 : portPatienceMs
      await managers.listen(patienceMs).catch(options.onFatal)
      mirror.listenFromNow()
      health.set('lease', undefined)
      beginActing()
    },
    onStandby: async () => {
      health.set('lease', 'standby: another daemon is active')
      // Another daemon may lead by now: no provider's slow answer keeps a manager here.
      await Promise.all([endActing(), link.stop()])
    },
  })
  let endTicks = (): void => undefined

  return {
    mirror,
    assigner,
    launches,
    backends: managers.backends,
    sweep: reconciliation.sweep,
    webSockets: managers.webSockets,
    wake,
    hint: (rows) => follower.hint(rows),
    boot: async () => {
      health.set('lease', 'standby: another daemon is active')
      await trust.open()
      fleetId = await untilUsable({ ...options, seedFile: config.seedFile })
      if (options.stopping.aborted) return
      void trust.follow(options.stopping)
      assigner.start()
      follower.start()
      leadership.start()
      void keepRetention(
        { store, clock, logger, fence, days: settings.MUSTER_RETENTION_DAYS },
        options.stopping,
      )
      endTicks = startTicks(settings.MUSTER_TICK, () => {
        for (const regionId of mirror.regionIds)
          wake(regionId, { kind: 'tick', schedule: settings.MUSTER_TICK })
      })
    },
    stop: async () => {
      endTicks()
      assigner.stop()
      await leadership.stop()
      await follower.stop()
    },
  }
}
