/** What the managers' streams need of the rest of the daemon; app.ts hands it in. */
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import type { Cause } from '../model/event.ts'
import type { HostView } from '../model/snapshot.ts'
import type { FleetStore, RowIds, Rows } from '../store/fleet-store.ts'
import type { FleetView } from '../store/fleet-view.ts'
import type { TrustStore } from '../store/trust-store.ts'
import type { AllowList } from '../trust/allow-list.ts'
import type { Authority } from '../trust/authority.ts'
import type { DoorLimits } from './manager-door.ts'

export interface ManagerLinkOptions {
  readonly store: Pick<
    FleetStore,
    'registerHost' | 'reportAgents' | 'reportInterruption' | 'flushHeartbeats' | 'readHost'
  >
  readonly trust: Pick<
    TrustStore,
    | 'connectBackend'
    | 'disconnectBackends'
    | 'flushBackends'
    | 'reportInfo'
    | 'redeemToken'
    | 'storeCertificate'
  >
  /** As it is now: it may be another one after a roll-over. */
  readonly authority: () => Authority
  /** Kept by whoever follows the database. */
  readonly allowList: AllowList
  /** Reads anew what of these has a right, into the allow-list. @throws MusterError as the store does */
  readonly rightsChanged: (of: {
    readonly serials: readonly string[]
    readonly backendIds: readonly string[]
  }) => Promise<void>
  /** Known before the link is started. */
  readonly fleetId: () => string
  /** The fencing number of the lease; undefined while this daemon stands by. */
  readonly fence: () => number | undefined
  readonly view: Pick<FleetView, 'onChange'>
  /** The host as the mirror holds it: what is to be. */
  readonly hostOf: (hostId: string) => HostView | undefined
  /** Rows that were just written, so that the mirror knows at once; ids in `asked` without a row are deletions. */
  readonly applyRows: (rows: Partial<Rows>, asked?: RowIds) => void
  readonly wake: (regionId: string, cause: Cause) => void
  /** Address that the managers' port listens on. */
  readonly host: string
  readonly limits: DoorLimits
  /** How often managers are to say that they live. */
  readonly heartbeatMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly fault: FaultPoint
}

/** A manager's answer to StartSession. */
export type SessionAnswer = { readonly taken: true } | { readonly taken: false; readonly error: string }

export interface SessionOffer {
  readonly agentId: string
  readonly sessionId: string
  readonly userId: string
}
