/** What the routes are handed. */
import type { Clock } from '../lib/clock.ts'
import type { Health } from '../lib/health.ts'
import type { Logger } from '../lib/logger.ts'
import type { Tally } from '../lib/tally.ts'
import type { Cause } from '../model/event.ts'
import type { RowHint } from '../store/change-feed.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { FleetView } from '../store/fleet-view.ts'
import type { Assigner } from '../assign/assigner.ts'
import type { Backends } from '../backends/backends.ts'
import type { Metrics } from './metrics.ts'
import type { SweepDesk } from './sweep-desk.ts'

export interface ApiContext {
  readonly store: Pick<
    FleetStore,
    | 'readHosts'
    | 'readHost'
    | 'drainHost'
    | 'readDecisions'
    | 'readRows'
    | 'readRollouts'
    | 'readRollout'
    | 'readRolloutHealth'
    | 'startRollouts'
    | 'steerRollout'
  >
  readonly view: FleetView
  readonly assigner: Pick<Assigner, 'assign' | 'release' | 'sessions' | 'waitingUsers' | 'stop'>
  readonly backends?: Backends
  /** Calls of launches since the start; none unless told. */
  readonly launches?: Pick<Tally<'region' | 'outcome'>, 'counts'>
  readonly sweep?: SweepDesk
  readonly health: Pick<Health, 'ready' | 'cause'>
  readonly wake: (regionId: string, cause: Cause) => void
  /** Rows that may have changed; false when nobody can look at them now. */
  readonly hint: (rows: readonly RowHint[]) => boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Assign requests that one user may send in 10 s. */
  readonly assignLimit: number
  /** Whether anybody may read `/metrics`; only readers unless told. */
  readonly metricsOpen?: boolean
}
