import type { ActionKind } from '../model/action.ts'
import type { AgentStatus } from '../model/agent.ts'
import type { Cause } from '../model/event.ts'
import type { HostStatus } from '../model/host.ts'
import type { Endings } from '../model/region.ts'
import type { RolloutCounts, RolloutOptions, RolloutState } from '../model/rollout.ts'

/** Done only while the roll-out is in the state `from`. */
export interface RolloutUpdate {
  readonly id: string
  readonly place: number
  readonly from: RolloutState
  /** May be `from`. */
  readonly to: RolloutState
  readonly reason?: string
  /** With it `cleared_version` is set as well; null: whatever the channel has. */
  readonly is_cleared?: boolean
  readonly cleared_version?: string | null
  readonly wanted_free?: number
  readonly channel_version?: string | null
  readonly counts?: RolloutCounts
}

export interface OpenedRollout {
  /** Of the CANDIDATE that it leads to, and its own. */
  readonly id: string
  readonly place: number
  /** `images.id`: the CANDIDATE is inserted, as a copy of this image. */
  readonly copies?: string
  readonly options?: Partial<RolloutOptions>
  readonly switch_wanted?: boolean
}

/**
 * What one turn stores, all or nothing: the `plan` of `fleet.commit_turn`. `place` numbers the turn's decisions from 0
 * and ties rows and actions to them.
 */
export interface TurnPlan {
  readonly causes: readonly Cause[]
  /** What the decisions were made from, for a replay. */
  readonly inputs: Readonly<Record<string, unknown>>
  readonly decisions: readonly {
    readonly place: number
    readonly kind: string
    readonly target: string | null
    readonly reason: string
  }[]
  readonly actions: readonly {
    readonly place: number
    readonly kind: ActionKind
    readonly target: string | null
    readonly params: object
  }[]
  /** Inserted as LAUNCHING. */
  readonly hosts: readonly {
    readonly id: string
    readonly place: number
    readonly image_id: string
    readonly version: string
    readonly instance_type: string
    readonly capacity: number
    readonly reason: string
    /** The host that it is to replace. */
    readonly replaces?: string
  }[]
  readonly host_updates: readonly {
    readonly id: string
    readonly place: number
    readonly from: readonly HostStatus[]
    readonly to: HostStatus
    readonly reason: string
    /** Only while no agent of the host serves a user. */
    readonly idle?: boolean
    /** Its sessions are told that it drains. */
    readonly notify?: boolean
  }[]
  readonly agent_updates: readonly {
    readonly id: string
    readonly place: number
    readonly from: readonly AgentStatus[]
    readonly to: AgentStatus
    /** Why its session does not end well. */
    readonly failure?: string
  }[]
  /** Steps of the region's roll-outs; what is left out stays as it is. */
  readonly rollouts?: readonly RolloutUpdate[]
  /** Roll-outs that begin. */
  readonly opened?: readonly OpenedRollout[]
  /** How far max_hosts may be passed; the database holds it against the rows. */
  readonly surge?: number
  /** What `regions.endings` is to hold from now on; left out: what it holds. */
  readonly endings?: Endings
  readonly launch_failed?: { readonly code: string; readonly message: string }
}
