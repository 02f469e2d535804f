/** One attempt-counted piece of carrying a decision out. QUEUED waits for `nextAttemptAt`. */
export type ActionStatus = 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED'
export type ActionKind = 'launch' | 'terminate' | 'clear-orphan'

/** The exact request of a launch, stored before the call. Its action's id is the launch id. */
export interface LaunchParams {
  readonly image: string
  readonly version: string
  readonly count: number
  readonly instanceTypes: readonly string[]
  readonly agentsPerHost: number
}

export interface ActionParams {
  readonly launch: LaunchParams
  /** The host is the action's target. */
  readonly terminate: Readonly<Record<string, never>>
  /** The machine is the action's target. */
  readonly 'clear-orphan': Readonly<Record<string, never>>
}

/** One row of `fleet.actions`. */
export type Action = {
  readonly [Kind in ActionKind]: {
    readonly id: string
    readonly regionId: string
    readonly kind: Kind
    readonly target: string | null
    readonly params: ActionParams[Kind]
    readonly status: ActionStatus
    readonly attempts: number
    /** Milliseconds since the epoch. */
    readonly nextAttemptAt: number | null
  }
}[ActionKind]
