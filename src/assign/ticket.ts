import type { AssignRequest } from '../model/assignment.ts'
import type { MissOutcome } from './seams.ts'

/** One request on its way through placement. */
export interface Ticket {
  /** Order of arrival. */
  readonly sequence: number
  readonly request: AssignRequest
  /** The user's own, or a fresh one: every claim of this request bears it. */
  readonly sessionId: string
  /**
   * The user's own, or one that nobody else knows: however many agents are claimed and given up, the request stays one
   * row of the recorded demand.
   */
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly requestedAt: number
  /** Milliseconds since the epoch. */
  readonly waitsUntil: number
  /** The first enabled region, where the request counts as demand; undefined when none is enabled. */
  readonly demandRegionId: string | undefined
  /** What each region last answered. */
  readonly outcomes: Map<string, MissOutcome>
  /** Roll-outs whose candidate has failed it: it is served by the ACTIVE image then. */
  readonly failedIn: Set<string>
  /** Agents that may yet be claimed for it. */
  triesLeft: number
}

// A success anywhere comes before all of these.
const precedence = [
  'given-up',
  'user-already-active',
  'no-capacity',
  'version-mismatch',
  'region-not-enabled',
] as const satisfies readonly MissOutcome[]

/** With several regions the answer is the first of these that any of them gave. */
export function firstThatApplies(outcomes: Iterable<MissOutcome>): MissOutcome {
  const given = new Set(outcomes)
  return precedence.find((outcome) => given.has(outcome)) ?? 'region-not-enabled'
}
