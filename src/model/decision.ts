import type { RolloutCounts, RolloutState } from './rollout.ts'

/**
 * Decisions are plain JSON, each with a reason in words, and are stored before they are carried out.
 * Algorithms launch, drain, terminate and refuse; the other kinds come from upkeep and the sweep, in the same turn.
 */
export interface LaunchDecision {
  readonly kind: 'launch'
  /** Hosts, 1 or more. */
  readonly count: number
  /** `images.id` */
  readonly imageId: string
  readonly reason: string
}
export interface DrainDecision {
  readonly kind: 'drain'
  readonly hostId: string
  readonly reason: string
  /** Not an algorithm's to say: sessions may be on it, and stay until they end. */
  readonly withSessions?: true
  /** Not an algorithm's to say: they are told. */
  readonly notify?: true
}
export interface TerminateDecision {
  readonly kind: 'terminate'
  readonly hostId: string
  readonly reason: string
  /** Set when the termination shows that a launch came to nothing: the next one is held back. */
  readonly launchFailed?: string
  /** Not an algorithm's to say: its provider ends the machine, whoever is on it. */
  readonly involuntary?: true
}
/** Something was wanted and cannot be done. One that repeats unchanged is one row with a count. */
export interface RefuseDecision {
  readonly kind: 'refuse'
  readonly target: string | null
  readonly reason: string
}
/** A host past a deadline that must not be forced: said, not acted upon. */
export interface ReportDecision {
  readonly kind: 'report'
  readonly hostId: string
  readonly reason: string
}
/** One host more, since the provider advised to leave this one's machine. */
export interface ReplaceDecision {
  readonly kind: 'replace'
  /** Whom it is to replace. */
  readonly hostId: string
  readonly reason: string
}
/** A manager fell silent: ACTIVE, PRE_CONNECTION or DRAINING becomes UNRESPONSIVE. */
export interface SuspectDecision {
  readonly kind: 'suspect'
  readonly hostId: string
  readonly reason: string
}
/** An ALLOCATED or CONNECTING agent past its deadline becomes DYING. */
export interface EndAgentDecision {
  readonly kind: 'end-agent'
  readonly agentId: string
  readonly hostId: string
  readonly reason: string
  /** Why its session counts as failed; left out: it does not. */
  readonly failure?: string
}
/** The provider no longer has the row's machine. */
export interface HostGoneDecision {
  readonly kind: 'host-gone'
  readonly hostId: string
  readonly reason: string
  /** The lists that miss it have the machine of every host whose manager is connected, and there are such hosts. */
  readonly isProven?: boolean
}
/** A machine of this fleet that no row stands for. */
export interface ClearOrphanDecision {
  readonly kind: 'clear-orphan'
  readonly cloudId: string
  readonly reason: string
  /** Its launch is known, and none of that launch's rows ever had it: nobody was ever on it. */
  readonly isSurplus?: boolean
  /** It is older than every host's row that the database holds: the database may have lost its row. */
  readonly isFromBefore?: boolean
}

/** A step of a roll-out: to another state, or, with `from` and `to` alike, of what is known of it. What is left out stays. */
export interface RolloutStep {
  readonly kind: 'rollout'
  readonly rolloutId: string
  readonly from: RolloutState
  readonly to: RolloutState
  readonly reason: string
  readonly isCleared?: boolean
  /** Counts with `isCleared`. */
  readonly clearedVersion?: string | null
  readonly wantedFree?: number
  readonly channelVersion?: string | null
  readonly counts?: RolloutCounts
}
/** A roll-out to a CANDIDATE begins. */
export interface RolloutOpening {
  readonly kind: 'open-rollout'
  /** The candidate's id, and the roll-out's. */
  readonly rolloutId: string
  /** The candidate is inserted, as a copy of this image (`images.id`). */
  readonly copies?: string
  readonly switchWanted?: boolean
  readonly reason: string
}

export type RolloutDecision = RolloutStep | RolloutOpening
export type AlgorithmDecision = LaunchDecision | DrainDecision | TerminateDecision | RefuseDecision
export type UpkeepDecision =
  | TerminateDecision
  | DrainDecision
  | ReplaceDecision
  | RefuseDecision
  | ReportDecision
  | SuspectDecision
  | EndAgentDecision
  | HostGoneDecision
  | ClearOrphanDecision
export type Decision = AlgorithmDecision | UpkeepDecision | RolloutDecision
export type DecisionKind = Decision['kind']

/** The id of the row, or the machine, that a decision is about; null for a launch. */
export function targetOf(decision: Decision): string | null {
  switch (decision.kind) {
    case 'launch':
      return null
    case 'refuse':
      return decision.target
    case 'end-agent':
      return decision.agentId
    case 'rollout':
    case 'open-rollout':
      return decision.rolloutId
    case 'clear-orphan':
      return decision.cloudId
    default:
      return decision.hostId
  }
}

/** One row of `fleet.decisions`. */
export interface DecisionRecord {
  readonly id: string
  readonly regionId: string
  readonly turn: number
  readonly place: number
  readonly causes: unknown
  readonly kind: string
  readonly target: string | null
  readonly reason: string
  readonly inputs: unknown
  readonly repeats: number
  readonly createdAt: number
  readonly updatedAt: number
}
