/** What the managers' streams need of the rest of the daemon; app.ts hands it in. */
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Cause } from '../model/event.ts'
import type { HostView } from '../model/snapshot.ts'
import type { FleetStore, RowIds, Rows } from '../store/fleet-store.ts'
import type { FleetView } from '../store/fleet-view.ts'

export interface ManagerLinkOptions {
  readonly store: Pick<
    FleetStore,
    'readHostByKeyHash' | 'enrollHost' | 'registerHost' | 'reportAgents' | 'flushHeartbeats' | 'readHost'
  >
  /** The fencing number of the lease; undefined while this daemon stands by. */
  readonly fence: () => number | undefined
  readonly view: Pick<FleetView, 'onChange'>
  /** The host as the mirror holds it: what is to be. */
  readonly hostOf: (hostId: string) => HostView | undefined
  /** Rows that were just written, so that the mirror knows at once; ids in `asked` without a row are deletions. */
  readonly applyRows: (rows: Partial<Rows>, asked?: RowIds) => void
  readonly wake: (regionId: string, cause: Cause) => void
  readonly fleetKey: string
  /** How often managers are to say that they live. */
  readonly heartbeatMs: number
  readonly clock: Clock
  readonly logger: Logger
}

/** A manager's answer to StartSession. */
export type SessionAnswer = { readonly taken: true } | { readonly taken: false; readonly error: string }

export interface SessionOffer {
  readonly agentId: string
  readonly sessionId: string
  readonly userId: string
}
