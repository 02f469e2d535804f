import type { Decision, UpkeepDecision } from '../model/decision.ts'
import type { FleetEvent } from '../model/event.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { TurnPlan } from '../store/turn-plan.ts'

/** An algorithm that could not be loaded, or whose options are wrong: upkeep goes on, and the fault is on record. */
export interface AlgorithmFault {
  readonly name: string
  /** In words, with what to do about it. */
  readonly fault: string
}

export interface TurnInput {
  readonly snapshot: RegionSnapshot
  readonly event: FleetEvent
  readonly algorithm: ScalingAlgorithm | AlgorithmFault
  /** As the algorithm's schema gave them. */
  readonly options: unknown
  /** What the sweep found (`sweepFindings`), to be decided with this turn. */
  readonly sweep?: readonly UpkeepDecision[]
}

export interface PlannedTurn {
  /** In the order of their places. */
  readonly decisions: readonly Decision[]
  /** Undefined when there is nothing to store. */
  readonly plan: TurnPlan | undefined
  /** Milliseconds since the epoch: when the region must be decided again even if nothing happens; later than `now`. */
  readonly nextDeadline: number | undefined
}

/** One region's turn, whole and pure: what `fleet.commit_turn` is to store. Never throws, whatever the algorithm does. */
export function planTurn(input: TurnInput): PlannedTurn {
  return { decisions: [], plan: undefined, nextDeadline: input.snapshot.launchBlockedUntil }
}
