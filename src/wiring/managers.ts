/** What managers come to: their port and WebSockets, and what people do with their backends. */
import type { Config } from '../../config/load.ts'
import { addressReader } from '../api/headers.ts'
import { Backends } from '../backends/backends.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import { ManagerLink } from '../manager-link/manager-link.ts'
import type { WebSocketDoor } from '../manager-link/web-socket-door.ts'
import { createWebSocketDoor } from '../manager-link/web-socket-door.ts'
import { MusterError } from '../model/errors.ts'
import type { Cause } from '../model/event.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import type { TrustStore } from '../store/trust-store.ts'
import type { Trust } from './trust.ts'

/** How long a TLS handshake may take, in milliseconds. */
const handshakeMs = 10_000

export interface ManagersOptions {
  readonly config: Config
  readonly store: FleetStore
  readonly trustStore: TrustStore
  readonly trust: Trust
  readonly mirror: Mirror
  /** Empty before the database was heard. */
  readonly fleetId: () => string
  readonly fence: () => number | undefined
  readonly wake: (regionId: string, cause: Cause) => void
  readonly clock: Clock
  readonly logger: Logger
  readonly fault: FaultPoint
}

export interface Managers {
  readonly link: ManagerLink
  /** Managers that come through the HTTP API. */
  readonly webSockets: WebSocketDoor
  readonly backends: Backends
  /** Where managers dial, as of now. */
  readonly addresses: () => readonly string[]
  /** Lets managers in; the port may still be held for so long, in milliseconds. @throws MusterError `port-in-use` */
  listen(patienceMs: number): Promise<void>
}

export function createManagers(options: ManagersOptions): Managers {
  const { config, store, trustStore, trust, mirror, fleetId, fence, wake, clock, logger, fault } = options
  const { settings } = config
  const link = new ManagerLink({
    store,
    trust: trustStore,
    authority: trust.authority,
    allowList: trust.allowList,
    rightsChanged: (of) => trust.rights.changed(of),
    fleetId,
    fence,
    view: mirror,
    hostOf: (hostId) => mirror.host(hostId),
    applyRows: (rows, asked) => {
      // The stream's hint of these rows finds them applied, and wakes nobody.
      for (const regionId of mirror.apply(rows, asked)) wake(regionId, { kind: 'change', table: 'agents' })
    },
    wake,
    host: settings.MUSTER_MANAGER_HOST,
    limits: {
      handshakes: settings.MUSTER_MANAGER_HANDSHAKES,
      acceptsPerSecond: settings.MUSTER_MANAGER_ACCEPT_RATE,
      failedEnrolments: settings.MUSTER_FAILED_LOGIN_LIMIT,
      handshakeMs,
    },
    heartbeatMs: settings.MUSTER_HEARTBEAT_S * 1000,
    clock,
    logger,
    fault,
  })
  const addresses = (): readonly string[] =>
    settings.MUSTER_MANAGER_ADVERTISE ?? [`127.0.0.1:${link.port ?? settings.MUSTER_MANAGER_PORT}`]
  const backends = new Backends({
    store: trustStore,
    authority: trust.latest,
    fleetId: () => {
      const id = fleetId()
      if (id === '') throw new MusterError('unavailable', 'the daemon is just starting')
      return id
    },
    daemons: addresses,
    connections: {
      // A daemon that stands by holds nothing, and its list is read by its follower.
      rightsChanged: (of) => trust.rights.changed(of),
      rightsTaken: (of) => trust.rights.taken(of),
      lastHeard: (backendId) => link.backendLastHeard(backendId),
      terminating: (backendId, reason) => link.terminating(backendId, reason),
      askInfo: (backendId, signal) => link.askInfo(backendId, signal),
    },
    clock,
  })
  const webSockets = createWebSocketDoor({
    take: (bytes, address) => link.take(bytes, address),
    addressOf: addressReader(settings.MUSTER_TRUSTED_PROXIES),
    isOpen: () => link.port !== undefined,
    clock,
  })
  return {
    link,
    webSockets,
    backends,
    addresses,
    listen: (patienceMs) => listen(link, settings.MUSTER_MANAGER_PORT, patienceMs, clock),
  }
}

async function listen(link: ManagerLink, port: number, patienceMs: number, clock: Clock): Promise<void> {
  for (const startedAt = clock.now(); ;) {
    try {
      await link.start(port)
      return
    } catch (error) {
      const isHeld = error instanceof MusterError && error.code === 'port-in-use'
      if (!isHeld || clock.now() - startedAt > patienceMs) throw error
      await clock.sleep(100)
    }
  }
}
