/** What placement needs of the rest of the daemon; app.ts hands it in. */
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { AssignOutcome, AssignRequest } from '../model/assignment.ts'
import type { Cause } from '../model/event.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { FleetView } from '../store/fleet-view.ts'

/** The managers' streams. */
export interface Sessions {
  /** Whether the host has a live stream: without one nobody could start a session there. */
  isConnected(hostId: string): boolean
  /**
   * Asks the host's manager to start a session on its agent and waits for the answer. Saying the same session again is
   * harmless. Ends early, with whatever it likes, when the signal is aborted.
   */
  startSession(
    hostId: string,
    session: { readonly agentId: string; readonly sessionId: string; readonly userId: string },
    signal: AbortSignal,
  ): Promise<{ readonly taken: true } | { readonly taken: false; readonly error: string }>
}

interface Leadership {
  /** The fencing number of the lease; undefined while this daemon stands by. */
  fence(): number | undefined
}

/** Ids of WAITING agents, whom to offer first; undefined: the fullest host first. The snapshot has one image and its hosts. */
export type Rank = (
  regionId: string,
  snapshot: RegionSnapshot,
  request: AssignRequest,
) => readonly string[] | undefined

export interface AssignerOptions {
  readonly store: Pick<
    FleetStore,
    'claimAgent' | 'giveUpAgent' | 'recordMiss' | 'readSessions' | 'releaseSession'
  >
  readonly view: FleetView
  readonly sessions: Sessions
  readonly leadership: Leadership
  readonly rank: Rank
  readonly wake: (regionId: string, cause: Cause) => void
  readonly clock: Clock
  readonly logger: Logger
  /** A fresh UUID at each call. */
  readonly newId: () => string
  /** How long a manager may take to acknowledge a session; 5,000 ms unless told. */
  readonly acknowledgeMs?: number
  /** Requests that may wait at once; 10,000 unless told. */
  readonly queueLimit?: number
}

/** Where a session runs. */
export interface Seat {
  readonly agentId: string
  readonly hostId: string
  readonly regionId: string
  readonly address: string | null
  readonly port: number | null
  readonly sessionId: string
}

/** Why a request was not served; `given-up`: its client hung up. */
export type MissOutcome = Exclude<AssignOutcome, 'assigned' | 'not-active'>

/** By region id. */
export type ServedVersions = Readonly<Record<string, readonly string[]>>

export type AssignAnswer =
  | { readonly outcome: 'assigned'; readonly seat: Seat }
  | { readonly outcome: 'version-mismatch'; readonly served: ServedVersions }
  | { readonly outcome: Exclude<MissOutcome, 'version-mismatch'> }
