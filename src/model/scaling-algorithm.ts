import type { AssignRequest } from './assignment.ts'
import type { AlgorithmDecision } from './decision.ts'
import type { FleetEvent } from './event.ts'
import type { RegionSnapshot } from './snapshot.ts'

/** What is needed of a schema; a zod schema fits as it is. */
export interface Schema<T> {
  safeParse(
    input: unknown,
  ):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } }
}

export interface SchemaIssue {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/**
 * How a region is kept in size. Pure and synchronous: no clock, no chance, no I/O, so that the same code runs in
 * production, in a dry run and in a backtest. Whatever it plans goes through the guard; broken hosts are upkeep's
 * work (src/reconcile/upkeep.ts) and are decided before it is asked.
 */
export interface ScalingAlgorithm<Options = unknown> {
  readonly name: string
  /** A region's `options` are parsed once; all faults are reported together. */
  readonly options: Schema<Options>
  plan(snapshot: RegionSnapshot, event: FleetEvent, options: Options): readonly AlgorithmDecision[]
  /** Ids of WAITING agents, whom to offer first; without it, the fullest host first. */
  rank?(snapshot: RegionSnapshot, request: AssignRequest, options: Options): readonly string[]
}
