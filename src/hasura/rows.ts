/** Rows as the engine prints them, parsed into the model: the one place where the database's spelling is known. */
import { z } from 'zod'

import type { Action } from '../model/action.ts'
import { actionStatuses } from '../model/action.ts'
import type { Agent } from '../model/agent.ts'
import { agentStatuses } from '../model/agent.ts'
import type { Assignment } from '../model/assignment.ts'
import { assignOutcomes, rolloutArms } from '../model/assignment.ts'
import type { DecisionRecord } from '../model/decision.ts'
import type { Host } from '../model/host.ts'
import { hostStatuses } from '../model/host.ts'
import type { JsonObject, JsonValue } from '../model/json.ts'
import { lifecycles } from '../model/offering.ts'
import type { BegunCall } from '../store/fleet-store.ts'

// The farthest times that a Date can hold.
const farthestMs = 8.64e15
/** A timestamptz, whose year people may also have set to never. */
export const time = z.string().transform((text, context) => {
  if (text === 'infinity') return farthestMs
  if (text === '-infinity') return -farthestMs
  const ms = Date.parse(text)
  if (!Number.isNaN(ms)) return ms
  context.addIssue({ code: 'custom', message: 'is no time' })
  return z.NEVER
})

/** Columns to ask for, beside the parser of each table. */
export const columns = {
  regions: `id provider enabled algorithm options deadlines blast_radius endings sweep_confirmed_until target_free_agents
    min_hosts max_hosts max_surge_hosts instance_types agents_per_host discovered_agents provider_options max_agents_per_user
    channel rollout turn launch_failures launch_blocked_until
    launch_error_code launch_error revision`,
  images: 'id region_id image_id version status created_at revision',
  hosts: `id region_id provider cloud_id launch_id image_id version instance_type zone lifecycle address capacity status status_before
    status_since protected reason heartbeat_at interruption_at rebalance_advised_at replaces notify_sessions created_at revision`,
  agents: 'id host_id region_id app status user_id user_slot session_id port status_since revision',
  assignments: `id user_id idempotency_key region_id image_id host_id agent_id address port session_id outcome
    requested_at assigned_at ended_at rollout_id arm failure`,
  actions: 'id region_id kind target params status attempts next_attempt_at offering request is_repeat',
  blocked_offerings: 'id region_id instance_type zone lifecycle code reason until revision',
  rollouts: `id region_id group_id from_image to_image version state state_since paused canary_share options reason counts
    is_cleared cleared_version wanted_free channel_version switch_wanted rollback_wanted created_at ready_at switched_at
    ended_at revision`,
  versions: 'id version revision',
  decisions: 'id region_id turn place causes kind target reason inputs repeats created_at updated_at',
} as const

export const hostRow = z
  .object({
    id: z.string(),
    region_id: z.string(),
    provider: z.string(),
    cloud_id: z.string().nullable(),
    launch_id: z.string().nullable(),
    image_id: z.string().nullable(),
    version: z.string(),
    instance_type: z.string(),
    zone: z.string(),
    lifecycle: z.enum(lifecycles),
    address: z.string().nullable(),
    capacity: z.number(),
    status: z.enum(hostStatuses),
    status_before: z.enum(['PRE_CONNECTION', 'ACTIVE', 'DRAINING']).nullable(),
    status_since: time,
    protected: z.boolean(),
    reason: z.string().nullable(),
    heartbeat_at: time.nullable(),
    interruption_at: time.nullable(),
    rebalance_advised_at: time.nullable(),
    replaces: z.string().nullable(),
    notify_sessions: z.boolean(),
    created_at: time,
    revision: z.number(),
  })
  .transform((row): Host => ({
    id: row.id,
    regionId: row.region_id,
    provider: row.provider,
    cloudId: row.cloud_id,
    launchId: row.launch_id,
    imageId: row.image_id,
    version: row.version,
    instanceType: row.instance_type,
    zone: row.zone,
    lifecycle: row.lifecycle,
    address: row.address,
    capacity: row.capacity,
    status: row.status,
    statusBefore: row.status_before,
    statusSince: row.status_since,
    protected: row.protected,
    reason: row.reason,
    heartbeatAt: row.heartbeat_at,
    interruptionAt: row.interruption_at,
    rebalanceAdvisedAt: row.rebalance_advised_at,
    replaces: row.replaces,
    notifySessions: row.notify_sessions,
    createdAt: row.created_at,
    revision: row.revision,
  }))

export const agentRow = z
  .object({
    id: z.string(),
    host_id: z.string(),
    region_id: z.string(),
    app: z.string(),
    status: z.enum(agentStatuses),
    user_id: z.string().nullable(),
    user_slot: z.number().nullable(),
    session_id: z.string().nullable(),
    port: z.number().nullable(),
    status_since: time,
    revision: z.number(),
  })
  .transform((row): Agent => ({
    id: row.id,
    hostId: row.host_id,
    regionId: row.region_id,
    app: row.app,
    status: row.status,
    userId: row.user_id,
    userSlot: row.user_slot,
    sessionId: row.session_id,
    port: row.port,
    statusSince: row.status_since,
    revision: row.revision,
  }))

export const assignmentRow = z
  .object({
    id: z.string(),
    user_id: z.string(),
    idempotency_key: z.string().nullable(),
    region_id: z.string().nullable(),
    image_id: z.string().nullable(),
    host_id: z.string().nullable(),
    agent_id: z.string().nullable(),
    address: z.string().nullable(),
    port: z.number().nullable(),
    session_id: z.string().nullable(),
    outcome: z.enum(assignOutcomes),
    requested_at: time,
    assigned_at: time.nullable(),
    ended_at: time.nullable(),
    rollout_id: z.string().nullable(),
    arm: z.enum(rolloutArms).nullable(),
    failure: z.string().nullable(),
  })
  .transform((row): Assignment => ({
    id: row.id,
    userId: row.user_id,
    idempotencyKey: row.idempotency_key,
    regionId: row.region_id,
    imageId: row.image_id,
    hostId: row.host_id,
    agentId: row.agent_id,
    address: row.address,
    port: row.port,
    sessionId: row.session_id,
    outcome: row.outcome,
    requestedAt: row.requested_at,
    assignedAt: row.assigned_at,
    endedAt: row.ended_at,
    rolloutId: row.rollout_id,
    arm: row.arm,
    failure: row.failure,
  }))

const actionBase = z.object({
  id: z.string(),
  region_id: z.string(),
  target: z.string().nullable(),
  status: z.enum(actionStatuses),
  attempts: z.number(),
  next_attempt_at: time.nullable(),
})
const launchParams = z.object({
  image: z.string(),
  version: z.string(),
  count: z.number(),
  instanceTypes: z.array(z.string()),
  agentsPerHost: z.number(),
})
const offering = z.object({
  instanceType: z.string(),
  zone: z.string(),
  lifecycle: z.enum(lifecycles),
  agents: z.number(),
})
const jsonValue: z.ZodType<JsonValue> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(jsonValue),
    z.record(z.string(), jsonValue),
  ]),
)
const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), jsonValue)
const noParams = z.object({}).transform(() => ({}))

export const actionRow = z
  .discriminatedUnion('kind', [
    actionBase.extend({
      kind: z.literal('launch'),
      params: launchParams,
      offering: offering.nullable(),
      request: jsonObject.nullable(),
    }),
    actionBase.extend({ kind: z.literal('terminate'), params: noParams }),
    actionBase.extend({ kind: z.literal('clear-orphan'), params: noParams }),
  ])
  .transform(({ region_id: regionId, next_attempt_at: nextAttemptAt, ...row }): Action => ({
    ...row,
    regionId,
    nextAttemptAt,
  }))

/** One that is CANCELLED was perhaps never stored. */
export const begunCallRow = z.union([
  z.object({ status: z.literal('CANCELLED') }).transform(() => 'cancelled' as const),
  z
    .object({ offering, request: jsonObject, is_repeat: z.boolean() })
    .transform(({ is_repeat: isRepeat, ...row }): BegunCall => ({ ...row, isRepeat })),
])

export const decisionRow = z
  .object({
    id: z.string(),
    region_id: z.string(),
    turn: z.number(),
    place: z.number(),
    causes: z.unknown(),
    kind: z.string(),
    target: z.string().nullable(),
    reason: z.string(),
    inputs: z.unknown(),
    repeats: z.number(),
    created_at: time,
    updated_at: time,
  })
  .transform((row): DecisionRecord => ({
    id: row.id,
    regionId: row.region_id,
    turn: row.turn,
    place: row.place,
    causes: row.causes,
    kind: row.kind,
    target: row.target,
    reason: row.reason,
    inputs: row.inputs,
    repeats: row.repeats,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }))
