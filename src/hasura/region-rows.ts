/** Rows of regions and of what they offer, with the users' own JSON in them (see rows.ts). */
import { z } from 'zod'

import type { BlockedOffering } from '../model/offering.ts'
import { lifecycles } from '../model/offering.ts'
import type { BlastRadius, Deadlines, Endings, Image, Region } from '../model/region.ts'
import { defaultBlastRadius, defaultDeadlines } from '../model/region.ts'
import { time } from './rows.ts'

const json = z.record(z.string(), z.unknown())
const positiveSeconds = z.number().positive().max(31_536_000)
const deadlines = z.object({
  launch: positiveSeconds.optional().catch(undefined),
  connect: positiveSeconds.optional().catch(undefined),
  heartbeat: positiveSeconds.optional().catch(undefined),
  allocated: positiveSeconds.optional().catch(undefined),
  drain: positiveSeconds.optional().catch(undefined),
  force_drain: z.boolean().optional().catch(undefined),
})

/** Deadlines are a user's JSON: what is missing or out of bounds has its default, so that upkeep never stops. */
export function parseDeadlines(input: unknown): Deadlines {
  const given = deadlines.catch({}).parse(input)
  return {
    launch: given.launch ?? defaultDeadlines.launch,
    connect: given.connect ?? defaultDeadlines.connect,
    heartbeat: given.heartbeat ?? defaultDeadlines.heartbeat,
    allocated: given.allocated ?? defaultDeadlines.allocated,
    drain: given.drain ?? defaultDeadlines.drain,
    force_drain: given.force_drain ?? defaultDeadlines.force_drain,
  }
}

const blastRadius = z.object({
  percent: z.number().min(0).max(100).optional().catch(undefined),
  at_least: z.number().int().min(0).max(1_000_000).optional().catch(undefined),
  window: positiveSeconds.optional().catch(undefined),
})

/** A user's JSON as well: what is missing or out of bounds has its default. */
export function parseBlastRadius(input: unknown): BlastRadius {
  const given = blastRadius.catch({}).parse(input)
  return {
    percent: given.percent ?? defaultBlastRadius.percent,
    at_least: given.at_least ?? defaultBlastRadius.at_least,
    window: given.window ?? defaultBlastRadius.window,
  }
}

/** Written by turns; what else stands there counts for nothing. */
function parseEndings(input: unknown): Endings {
  const entries = Object.entries(json.catch({}).parse(input))
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

export const regionRow = z
  .object({
    id: z.string(),
    provider: z.string(),
    enabled: z.boolean(),
    algorithm: z.string(),
    options: json,
    deadlines: z.unknown(),
    blast_radius: z.unknown(),
    endings: z.unknown(),
    sweep_confirmed_until: time.nullable(),
    target_free_agents: z.number(),
    min_hosts: z.number(),
    max_hosts: z.number(),
    max_surge_hosts: z.number(),
    instance_types: z.array(z.unknown()),
    agents_per_host: z.number().nullable(),
    discovered_agents: z.number().nullable(),
    provider_options: z.unknown(),
    max_agents_per_user: z.number(),
    channel: z.string(),
    rollout: z.unknown(),
    turn: z.number(),
    launch_failures: z.number(),
    launch_blocked_until: time.nullable(),
    launch_error_code: z.string().nullable(),
    launch_error: z.string().nullable(),
    revision: z.number(),
  })
  .transform((row): Region => ({
    id: row.id,
    provider: row.provider,
    enabled: row.enabled,
    algorithm: row.algorithm,
    options: row.options,
    deadlines: parseDeadlines(row.deadlines),
    blastRadius: parseBlastRadius(row.blast_radius),
    endings: parseEndings(row.endings),
    sweepConfirmedUntil: row.sweep_confirmed_until,
    targetFreeAgents: row.target_free_agents,
    minHosts: row.min_hosts,
    maxHosts: row.max_hosts,
    maxSurgeHosts: row.max_surge_hosts,
    instanceTypes: row.instance_types.filter((type) => typeof type === 'string'),
    agentsPerHost: row.agents_per_host ?? row.discovered_agents ?? 1,
    agentsPerHostGiven: row.agents_per_host,
    agentsPerHostDiscovered: row.discovered_agents,
    providerOptions: row.provider_options,
    maxAgentsPerUser: row.max_agents_per_user,
    channel: row.channel,
    rollout: row.rollout,
    turn: row.turn,
    launchFailures: row.launch_failures,
    launchBlockedUntil: row.launch_blocked_until,
    launchErrorCode: row.launch_error_code,
    launchError: row.launch_error,
    revision: row.revision,
  }))

export const imageRow = z
  .object({
    id: z.string(),
    region_id: z.string(),
    image_id: z.string(),
    version: z.string(),
    status: z.enum(['CANDIDATE', 'ACTIVE', 'RETIRED']),
    created_at: time,
    revision: z.number(),
  })
  .transform((row): Image => ({
    id: row.id,
    regionId: row.region_id,
    imageId: row.image_id,
    version: row.version,
    status: row.status,
    createdAt: row.created_at,
    revision: row.revision,
  }))

export const blockedOfferingRow = z
  .object({
    id: z.string(),
    region_id: z.string(),
    instance_type: z.string(),
    zone: z.string(),
    lifecycle: z.enum(lifecycles),
    code: z.string(),
    reason: z.string(),
    until: time,
    revision: z.number(),
  })
  .transform((row): BlockedOffering => ({
    id: row.id,
    regionId: row.region_id,
    instanceType: row.instance_type,
    zone: row.zone,
    lifecycle: row.lifecycle,
    code: row.code,
    reason: row.reason,
    until: row.until,
    revision: row.revision,
  }))
