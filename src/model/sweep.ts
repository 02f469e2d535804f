/** What the sweep is asked and answers: plain data, for the API and the command line. */
import type { Host, HostStatus } from './host.ts'

/** What the sweep reads of a host that has not ended. */
export type SweepHost = Pick<Host, 'id' | 'cloudId' | 'launchId' | 'status' | 'createdAt'>

/** What the tables say of a region, read after the provider's list. */
export interface SweepRows {
  /** Of the region. */
  readonly openActions: readonly {
    readonly id: string
    readonly kind: string
    readonly target: string | null
  }[]
  /** The region's hosts that have not ended. */
  readonly hosts: readonly SweepHost[]
  /** Whose rows, of whatever region and status, name a machine of the list that none of `hosts` has. */
  readonly named: readonly { readonly id: string; readonly cloudId: string; readonly status: HostStatus }[]
  /** Of the launches of such machines those that have a row, of whatever status. */
  readonly launches: readonly string[]
  /** When the oldest host's row that the database still holds was made; undefined: it holds none. Asked only for machines without a row. */
  readonly oldestRowAt: number | undefined
}

/**
 * One thing that the sweep found in a region, or that upkeep found and may not do.
 *
 * `waiting`: not certain yet, for it must be seen again at `dueAt` or later. `due`: the region's next turn does it.
 * `held`: it would be more than findings may end, or the database may have lost its rows, and waits for a person's word.
 */
export interface SweepFinding {
  readonly kind: 'host-gone' | 'clear-orphan' | 'terminate' | 'report' | 'adopt'
  /** Id of a host or, of `clear-orphan` and `adopt`, of a machine. */
  readonly target: string
  readonly reason: string
  readonly state: 'waiting' | 'due' | 'held'
  /** Milliseconds since the epoch; null unless it waits. */
  readonly dueAt: number | null
}

/** One look at a region: the provider's list against the tables. */
export interface SweepReport {
  readonly regionId: string
  /** Why there was no look, in words: the list failed, or part of it was missing. */
  readonly failure: string | null
  readonly machines: number
  readonly hosts: number
  readonly findings: readonly SweepFinding[]
}
