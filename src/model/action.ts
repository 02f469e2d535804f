import type { JsonObject } from './json.ts'
import type { Offering } from './offering.ts'

/** One attempt-counted piece of carrying a decision out. QUEUED waits for `nextAttemptAt`. */
export const actionStatuses = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const
export type ActionStatus = (typeof actionStatuses)[number]
export type ActionKind = 'launch' | 'terminate' | 'clear-orphan'

/** What a launch wants. Each call of it is an action of its own: `L`, then `L~2`, `L~3`, … */
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

/** What of a launch's call is stored before it is made; null until then. */
export interface LaunchCall {
  readonly offering: Offering | null
  /** As the provider resolved it, sent as it is at every repeat. */
  readonly request: JsonObject | null
}

/** The launch that an action is a call of, and which one, from 1. */
export function launchOf(actionId: string): { readonly launchId: string; readonly attempt: number } {
  const [launchId = '', attempt = '1'] = actionId.split('~')
  return { launchId, attempt: Number(attempt) }
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
  } & (Kind extends 'launch' ? LaunchCall : unknown)
}[ActionKind]
