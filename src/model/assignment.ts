export const assignOutcomes = [
  'assigned',
  'no-capacity',
  'user-already-active',
  'region-not-enabled',
  'version-mismatch',
  'given-up',
  'not-active',
] as const
export type AssignOutcome = (typeof assignOutcomes)[number]

/**
 * How a canary counts a request: the hash chose the new image and that served it; the old one served it; or it was chosen,
 * and the new image had no free agent. Requests that name a version count in none.
 */
export const rolloutArms = ['candidate', 'control', 'fallback'] as const
export type RolloutArm = (typeof rolloutArms)[number]

/** What a user asks for. */
export interface AssignRequest {
  readonly userId: string
  /** Region ids, nearest first. */
  readonly regions: readonly string[]
  readonly version?: string
  readonly sessionId?: string
  readonly idempotencyKey?: string
  /** How long to wait for capacity, 0 to 25,000 ms. */
  readonly waitMs: number
}

/** One row of `fleet.assignments`: one request for an agent, served or not. Times in milliseconds since the epoch. */
export interface Assignment {
  readonly id: string
  readonly userId: string
  readonly idempotencyKey: string | null
  readonly regionId: string | null
  readonly imageId: string | null
  readonly hostId: string | null
  readonly agentId: string | null
  readonly address: string | null
  readonly port: number | null
  readonly sessionId: string | null
  readonly outcome: AssignOutcome
  readonly requestedAt: number
  readonly assignedAt: number | null
  readonly endedAt: number | null
  /** The canary that counts it. */
  readonly rolloutId: string | null
  readonly arm: RolloutArm | null
  /** Why its session did not end well. */
  readonly failure: string | null
}
