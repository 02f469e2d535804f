/** What the tables hold beyond the model's rows: columns that the database's functions read or write. */
import type { ActionStatus } from '../../model/action.ts'
import type { Agent } from '../../model/agent.ts'
import type { Assignment } from '../../model/assignment.ts'
import type { BackendStatus } from '../../model/backend.ts'
import type { DecisionRecord } from '../../model/decision.ts'
import type { Host } from '../../model/host.ts'
import type { JsonObject } from '../../model/json.ts'
import type { BlockedOffering, Offering } from '../../model/offering.ts'
import type { Image, Region } from '../../model/region.ts'
import type { ChannelVersion, Rollout } from '../../model/rollout.ts'

export type RegionRow = Region
export type ImageRow = Image
export interface AgentRow extends Agent {
  readonly failure: string | null
}
export type VersionRow = ChannelVersion
export interface RolloutRow extends Rollout {
  readonly pausedAt: number | null
}
export type BlockRow = BlockedOffering
export type DecisionRow = DecisionRecord

export interface HostRow extends Host {
  readonly updatedAt: number
}

export interface AssignmentRow extends Assignment {
  readonly demandRegionId: string | null
  readonly version: string | null
  readonly runningAt: number | null
}

export interface ActionRow {
  readonly id: string
  readonly decisionId: string
  readonly regionId: string
  readonly kind: string
  readonly target: string | null
  readonly params: object
  readonly status: ActionStatus
  readonly attempts: number
  readonly nextAttemptAt: number | null
  readonly errorCode: string | null
  readonly error: string | null
  /** Of a launch's call, once it is stored. */
  readonly offering: Offering | null
  readonly request: JsonObject | null
  readonly isCalling: boolean
  readonly isRepeat: boolean
  readonly createdAt: number
}

/** Its key is the action's id and the line's number. */
export interface LogRow {
  readonly id: string
  readonly actionId: string
  readonly sequence: number
  readonly level: string
  readonly message: string
}

export interface LeaseRow {
  readonly holder: string
  readonly fence: number
  readonly expiresAt: number
}

/** An enrolment token of a launch. */
export interface TokenRow {
  readonly id: string
  readonly secretHash: string
  readonly launchId: string
  readonly uses: number
  readonly used: number
  readonly expiresAt: number
}

/** A launched backend, as far as enrolment needs it: the id is its host's. */
export interface BackendRow {
  readonly id: string
  readonly tokenId: string
  readonly spkiHash: string
  readonly status: BackendStatus
  readonly terminatedAt: number | null
}
