import type { Action } from '../model/action.ts'
import type { Agent } from '../model/agent.ts'
import type { Assignment, AssignOutcome, RolloutArm } from '../model/assignment.ts'
import type { DecisionRecord } from '../model/decision.ts'
import type { CloudHost } from '../model/host-handler.ts'
import type { Host } from '../model/host.ts'
import type { InterruptionNotice } from '../model/interruption.ts'
import type { JsonObject } from '../model/json.ts'
import type { BlockedOffering, Offering } from '../model/offering.ts'
import type { Image, Region } from '../model/region.ts'
import type { ChannelVersion, Rollout, RolloutHealth, RolloutOptions, RolloutWish } from '../model/rollout.ts'
import type { SweepRows } from '../model/sweep.ts'
import type { TurnPlan } from './turn-plan.ts'

/**
 * What the daemon reads and writes, in fleet words. Every write is guarded in the database, and an answer of
 * `undefined` means that the guard said no: the caller reads again and decides anew.
 *
 * Every call may throw MusterError `database-unavailable` (retryable) or `database-refused`.
 */
export interface FleetStore {
  fleetId(): Promise<string>
  /** @throws MusterError `schema-outdated`, which says what command to run. */
  checkSchema(): Promise<void>

  takeLease(holder: string, seconds: number): Promise<Lease | undefined>
  releaseLease(holder: string, fence: number): Promise<void>

  readRegionIds(): Promise<readonly string[]>
  /** All rows of one region that a mirror holds; undefined when there is no such region. */
  readRegion(regionId: string): Promise<RegionRows | undefined>
  /** Rows by key, of whatever region. Ids that are not in the answer have no row. */
  readRows(ids: RowIds): Promise<Rows>
  readOpenActions(): Promise<readonly Action[]>
  /**
   * What the sweep compares with a list, from the tables and page by page: ten thousand rows at once would hold the
   * event loop. `machines` are those of the list, which must have been taken before.
   */
  readSweepRows(
    regionId: string,
    machines: readonly Pick<CloudHost, 'cloudId' | 'launchId'>[],
  ): Promise<SweepRows>
  /** A person's word: what is held back in the region may go on for `seconds`. false: there is no such region. */
  confirmSweep(regionId: string, seconds: number, actor: string): Promise<boolean>

  /** Gives the region's row with its new turn. */
  commitTurn(regionId: string, turn: number, fence: number, plan: TurnPlan): Promise<Region | undefined>
  /** Count another attempt; undefined when the action has ended meanwhile. */
  beginAttempt(actionId: string): Promise<{ readonly attempts: number } | undefined>
  /** The attempt came to nothing yet: the action waits until `at` (milliseconds since the epoch). */
  postponeAction(actionId: string, at: number, code: string, message: string): Promise<void>
  endAction(
    actionId: string,
    status: 'SUCCEEDED' | 'FAILED' | 'CANCELLED',
    code?: string,
    message?: string,
  ): Promise<void>
  logAction(actionId: string, level: 'info' | 'warn' | 'error', message: string): Promise<void>
  /**
   * Store a call, and the token of its machines, before it is made; what was stored before wins. `cancelled`: its hosts are
   * not wanted any more, and nothing was ever sent. Undefined: the action has ended, or the lease is not ours.
   */
  beginCall(
    actionId: string,
    fence: number,
    offering: Offering,
    request: JsonObject,
    token: LaunchToken,
  ): Promise<BegunCall | 'cancelled' | undefined>
  /** The call was surely not carried out. */
  settleCall(actionId: string, fence: number): Promise<void>
  /**
   * The provider said no for certain. Gives the next call when `next` was asked for and the hosts are still wanted.
   * Undefined: nothing was stored, as above.
   */
  refuseCall(
    actionId: string,
    fence: number,
    refusal: Refusal,
  ): Promise<{ readonly next: Action | undefined } | undefined>
  /** Undefined: the lease is not ours, or there is no such region. */
  storeDiscovery(regionId: string, fence: number, found: Discovered): Promise<Region | undefined>
  /** false: nothing was stored, since the action has ended or the lease is not ours. */
  finishLaunch(actionId: string, fence: number, result: LaunchOutcome): Promise<boolean>
  bindLaunch(launchId: string, cloudIds: readonly string[]): Promise<readonly Host[]>
  /** The machine is gone: the row and its terminations end. false: there is no such row, or the lease is not ours. */
  endHost(hostId: string, fence: number, reason: string | null): Promise<boolean>
  /** A person's wish: false when the host was not in a state that can be drained. */
  drainHost(hostId: string, reason: string): Promise<boolean>

  /** Counted from `fleet.assignments` and `fleet.hosts`. */
  readRolloutHealth(rollout: Pick<Rollout, 'id' | 'toImage'>): Promise<RolloutHealth>
  /** Switch a group, all or none: the roll-outs that were switched, none when it is not the time. */
  switchRollouts(groupId: string, fence: number): Promise<readonly Rollout[]>
  /**
   * Start roll-outs, bound by `groupId` unless that is null. Gives each region's image: a new CANDIDATE with its roll-out,
   * which bears its id; the one that is ACTIVE or led to already, if it is the very same; or a new ACTIVE one, in a region
   * that has none.
   */
  startRollouts(
    starts: readonly RolloutStart[],
    groupId: string | null,
    actor: string,
  ): Promise<readonly Image[]>
  /** A person's word. Undefined: there is no such roll-out, or it is past that. */
  steerRollout(rolloutId: string, wish: RolloutWish, actor: string): Promise<Rollout | undefined>
  /** Newest first, those that are over too. */
  readRollouts(filter: {
    readonly region?: string
    /** Members of these only. */
    readonly groups?: readonly string[]
    readonly limit: number
  }): Promise<readonly Rollout[]>
  readRollout(rolloutId: string): Promise<Rollout | undefined>
  /** Every image of the region, whatever its status, in order of id. */
  readImages(regionId: string): Promise<readonly Image[]>

  claimAgent(regionId: string, fence: number, request: ClaimRequest): Promise<Assignment>
  /** `failure`: why the manager did not take the session; null when it was the client that hung up. */
  giveUpAgent(assignmentId: string, agentId: string, fence: number, failure: string | null): Promise<void>
  /** One row for a request that was not served, so that demand is on record. */
  recordMiss(miss: Miss): Promise<void>
  /** The user's live agents; `sessionId` narrows to one. */
  readSessions(userId: string): Promise<readonly Session[]>
  /** Gives the agents that became DYING: none when the user has no such session. */
  releaseSession(userId: string, sessionId: string): Promise<readonly Agent[]>

  registerHost(hostId: string, address: string, capacity: number, fence: number): Promise<Host | undefined>
  /** Gives the host's agents afterwards; undefined when the host has no row or the lease is not ours. */
  reportAgents(
    hostId: string,
    reports: readonly AgentReport[],
    isFull: boolean,
    fence: number,
  ): Promise<readonly Agent[] | undefined>
  /** Gives the host afterwards, fenced when it is interrupted; undefined when it has ended. Safe to repeat. */
  reportInterruption(hostId: string, notice: InterruptionNotice, fence: number): Promise<Host | undefined>
  /** Host id to the time of its last heartbeat, milliseconds since the epoch. */
  flushHeartbeats(beats: ReadonlyMap<string, number>, fence: number): Promise<void>

  readHosts(filter: { readonly includeTerminated: boolean }): Promise<readonly Host[]>
  readHost(hostId: string): Promise<(Host & { readonly agents: readonly Agent[] }) | undefined>
  /** Newest first. */
  readDecisions(filter: {
    region?: string
    target?: string
    limit: number
  }): Promise<readonly DecisionRecord[]>
  readRegions(): Promise<readonly Region[]>

  prune(retentionDays: number, fence: number): Promise<void>
}

export interface Lease {
  readonly holder: string
  readonly fence: number
}

/** The tables that a mirror holds. */
export const mirroredTables = [
  'hosts',
  'agents',
  'regions',
  'images',
  'blocked_offerings',
  'rollouts',
  'versions',
] as const

export interface RegionRows {
  readonly region: Region
  readonly images: readonly Image[]
  readonly hosts: readonly Host[]
  readonly agents: readonly Agent[]
  readonly blocked_offerings: readonly BlockedOffering[]
  /** A region's: those that are not over. */
  readonly rollouts: readonly Rollout[]
  /** A region's: of every channel, since its own may change. */
  readonly versions: readonly ChannelVersion[]
}

export interface Rows {
  readonly regions: readonly Region[]
  readonly images: readonly Image[]
  readonly hosts: readonly Host[]
  readonly agents: readonly Agent[]
  readonly blocked_offerings: readonly BlockedOffering[]
  readonly rollouts: readonly Rollout[]
  readonly versions: readonly ChannelVersion[]
}
export type RowIds = { readonly [Table in keyof Rows]?: readonly string[] }

/** A roll-out that is to begin. */
export interface RolloutStart {
  readonly regionId: string
  /** The provider's own name of the image. */
  readonly imageId: string
  readonly version: string
  /** What it is to be like, beside its region's own word; `canary_share` is 0 to 1. */
  readonly options: Partial<RolloutOptions> & { readonly canary_share?: number }
}

export interface LaunchOutcome {
  readonly cloudIds: readonly string[]
  readonly code?: string
  readonly message?: string
  /** How long the call's offering is not to be asked for, in seconds. */
  readonly blockS?: number
  /** Milliseconds since the epoch: the region's launches are held back until then at least. */
  readonly until?: number
}

/** How many agents the smallest of a region's machines holds, or why that is not known. */
export type Discovered = { readonly agents: number } | { readonly code: string; readonly message: string }

/** What the machines of one call enrol with; the secret itself is never stored. */
export interface LaunchToken {
  readonly id: string
  readonly secretHash: string
  /** How many machines may enrol with it. */
  readonly uses: number
  /** Seconds from now; a repeat starts them anew. */
  readonly lifetimeS: number
}

export interface BegunCall {
  readonly offering: Offering
  readonly request: JsonObject
  /** Whether this very request may have been sent, and carried out, before. */
  readonly isRepeat: boolean
}

export interface Refusal {
  readonly code: string
  readonly message: string
  /** How long the call's offering is not to be asked for, in seconds; 0: it stays open. */
  readonly blockS: number
  readonly next: Offering | undefined
}

export interface ClaimRequest {
  readonly userId: string
  readonly sessionId: string
  readonly idempotencyKey: string | null
  /** `images.id` of the image that the agent must run. */
  readonly imageId: string
  readonly version: string | null
  /** Milliseconds since the epoch. */
  readonly requestedAt: number
  readonly demandRegionId: string
  /** Agent ids, in order of preference. */
  readonly candidates: readonly string[]
  /** Hosts without a live stream: nobody could start the session. */
  readonly excludedHosts: readonly string[]
  /** The canary that counts the request, and how; null: none does. */
  readonly rolloutId: string | null
  readonly arm: RolloutArm | null
}

export interface Miss {
  readonly userId: string
  readonly idempotencyKey: string | null
  readonly regionId: string | null
  readonly version: string | null
  readonly outcome: Exclude<AssignOutcome, 'assigned'>
  readonly requestedAt: number
}

export interface Session {
  readonly sessionId: string
  readonly agentId: string
  readonly hostId: string
  readonly regionId: string
  readonly address: string | null
  readonly port: number | null
  readonly status: string
  /** When the provider ends the session's machine, in milliseconds since the epoch; null as long as nothing is known. */
  readonly endsAt: number | null
}

/** What a manager says of one agent. */
export interface AgentReport {
  readonly id: string
  readonly status: 'WAITING' | 'ALLOCATED' | 'CONNECTING' | 'RUNNING' | 'DYING'
  readonly port?: number
  readonly app?: string
  readonly gone?: boolean
  /** Why its session did not end well. */
  readonly failure?: string
}
