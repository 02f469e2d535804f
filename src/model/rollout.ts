/**
 * A roll-out leads a region from its ACTIVE image to a CANDIDATE (docs/design/rollouts.md). Its life, as the database
 * guards it (migration `rollouts`):
 *
 *   PREPARING → READY → (CANARY →) SWITCHED → DRAINING → DONE
 *
 * PREPARING, READY, CANARY and SWITCHED may go to ROLLING_BACK → ROLLED_BACK; DRAINING ends as ROLLED_BACK when a roll-out
 * in the opposite direction takes over.
 */
export const rolloutStates = [
  'PREPARING',
  'READY',
  'CANARY',
  'SWITCHED',
  'DRAINING',
  'DONE',
  'ROLLING_BACK',
  'ROLLED_BACK',
] as const
export type RolloutState = (typeof rolloutStates)[number]

const rolloutTransitions: Readonly<Record<RolloutState, readonly RolloutState[]>> = {
  PREPARING: ['READY', 'ROLLING_BACK'],
  READY: ['CANARY', 'SWITCHED', 'ROLLING_BACK'],
  CANARY: ['SWITCHED', 'ROLLING_BACK'],
  SWITCHED: ['DRAINING', 'ROLLING_BACK'],
  DRAINING: ['DONE', 'ROLLED_BACK'],
  DONE: [],
  ROLLING_BACK: ['ROLLED_BACK'],
  ROLLED_BACK: [],
}

/** Whether the state machine lets a roll-out go from `was` to `becomes`. */
export function rolloutTransitionIsLegal(was: RolloutState, becomes: RolloutState): boolean {
  return rolloutTransitions[was].includes(becomes)
}

/** What leads its region; there is at most one. Those behind it only empty hosts. */
export function isLeading({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'PREPARING' || state === 'READY' || state === 'CANARY' || state === 'SWITCHED'
}

/** The one of a region's that leads; the database allows no second. */
export function leadingRollout({ rollouts }: { readonly rollouts: readonly Rollout[] }): Rollout | undefined {
  return rollouts.find(isLeading)
}

/** Whether it has ended for good. */
export function isOver({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'DONE' || state === 'ROLLED_BACK'
}

/** What a roll-out is like: its own word, else its region's (`regions.rollout`), else the default. Times in seconds. */
export interface RolloutOptions {
  /** From PREPARING until the buffer must be full; then it rolls back. */
  readonly prepare_s: number
  /** How long it may wait for its switch in READY; null: as long as it takes. */
  readonly ready_s: number | null
  /** How long the canary is watched at least. */
  readonly canary_min_s: number
  /** Requests of the canary that must have been served at least. */
  readonly canary_min_sessions: number
  /** When a canary that saw too little is decided by `on_few_samples`. */
  readonly canary_s: number
  /** By how much more of its sessions the candidate may fail, 0 to 1. */
  readonly canary_tolerance: number
  readonly on_few_samples: 'wait' | 'switch' | 'rollback'
  /** How long the old buffer is kept after the switch. */
  readonly bake_s: number
  /** What switches it: the channel's version, READY by itself, or a person only. A person always may. */
  readonly switch: 'version' | 'ready' | 'hand'
  /** What becomes of a group when a member fails before the switch. */
  readonly on_member_failure: 'rollback-all' | 'leave-out'
  /** For what share of the other image's sessions seats are held ready, 0 to 1: their users will come again. */
  readonly session_cover: number
  /** Tell the sessions of hosts that drain for it. */
  readonly notify_sessions: boolean
}

export const defaultRolloutOptions: RolloutOptions = {
  prepare_s: 9000,
  ready_s: null,
  canary_min_s: 600,
  canary_min_sessions: 20,
  canary_s: 9000,
  canary_tolerance: 0.02,
  on_few_samples: 'wait',
  bake_s: 600,
  switch: 'version',
  on_member_failure: 'rollback-all',
  session_cover: 1,
  notify_sessions: false,
}

/** What the last turn saw, for people. */
export interface RolloutCounts {
  /** Hosts that the new image's buffer still lacks; 0 when it is full. */
  readonly missing_hosts?: number
  /** Of those, hosts for which max_hosts and max_surge_hosts leave no room. */
  readonly without_room?: number
  /** The canary's requests, as far as their fate is known. */
  readonly canary?: RolloutHealth
}

/** One row of `fleet.rollouts`. Times are milliseconds since the epoch. */
export interface Rollout {
  /** Its candidate's. */
  readonly id: string
  readonly regionId: string
  /** Those of one group are switched together; its own id when it is alone. */
  readonly groupId: string
  /** `images.id` */
  readonly fromImage: string
  /** `images.id` */
  readonly toImage: string
  readonly version: string
  readonly state: RolloutState
  /** Without the time that it was paused. */
  readonly stateSince: number
  readonly paused: boolean
  /** 0 to 1; 0: no canary. */
  readonly canaryShare: number
  readonly options: RolloutOptions
  /** Why it is in its state. */
  readonly reason: string | null
  readonly counts: RolloutCounts
  /** A turn found that it may be switched. */
  readonly isCleared: boolean
  /** The channel's version that it was cleared for; null: whatever it is. */
  readonly clearedVersion: string | null
  /** Agents of the new image that must be free at the switch. */
  readonly wantedFree: number
  /** What its channel had when a turn last looked. */
  readonly channelVersion: string | null
  /** A person wishes its switch. */
  readonly switchWanted: boolean
  /** Why a person, or its group, wishes it back. */
  readonly rollbackWanted: string | null
  readonly createdAt: number
  readonly readyAt: number | null
  readonly switchedAt: number | null
  readonly endedAt: number | null
  readonly revision: number
}

/** One row of `fleet.versions`: what the clients of a channel have. */
export interface ChannelVersion {
  /** The channel. */
  readonly id: string
  readonly version: string
  readonly revision: number
}

/** Requests whose fate is known: their session reached RUNNING, or failed. */
export interface Arm {
  readonly sessions: number
  /** Of these. */
  readonly failed: number
}

/** How the new image does against the old one, counted from `fleet.assignments` and `fleet.hosts`. */
export interface RolloutHealth {
  /** Requests that the hash chose and the new image served. */
  readonly candidate: Arm
  /** Requests that it did not choose, served by the old image meanwhile. */
  readonly control: Arm
  /** Hosts of the new image that never connected, in a row, until now. */
  readonly neverConnected: number
}

/** What a person may tell a roll-out. */
export const rolloutWishes = ['pause', 'resume', 'switch', 'rollback'] as const
export type RolloutWish = (typeof rolloutWishes)[number]
