/** Rows of roll-outs and of their channels' versions (see rows.ts). */
import { z } from 'zod'

import type { ChannelVersion, Rollout, RolloutCounts, RolloutOptions } from '../model/rollout.ts'
import { defaultRolloutOptions, rolloutStates } from '../model/rollout.ts'
import { time } from './rows.ts'

const seconds = z.number().min(0).max(31_536_000).optional().catch(undefined)
const share = z.number().min(0).max(1).optional().catch(undefined)
const options = z.object({
  prepare_s: seconds,
  ready_s: seconds,
  canary_min_s: seconds,
  canary_min_sessions: z.number().int().min(1).max(1_000_000).optional().catch(undefined),
  canary_s: seconds,
  canary_tolerance: share,
  on_few_samples: z.enum(['wait', 'switch', 'rollback']).optional().catch(undefined),
  bake_s: seconds,
  switch: z.enum(['version', 'ready', 'hand']).optional().catch(undefined),
  on_member_failure: z.enum(['rollback-all', 'leave-out']).optional().catch(undefined),
  session_cover: share,
  notify_sessions: z.boolean().optional().catch(undefined),
})

/** A user's JSON: what is missing or out of bounds has its default. */
export function parseRolloutOptions(input: unknown): RolloutOptions {
  const given = options.catch({}).parse(input)
  const known = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...defaultRolloutOptions, ...Object.fromEntries(known) }
}

export const rolloutRow = z
  .object({
    id: z.string(),
    region_id: z.string(),
    group_id: z.string(),
    from_image: z.string(),
    to_image: z.string(),
    version: z.string(),
    state: z.enum(rolloutStates),
    state_since: time,
    paused: z.boolean(),
    canary_share: z.number(),
    options: z.unknown(),
    reason: z.string().nullable(),
    // Written by turns, for people.
    counts: z.custom<RolloutCounts>((counts) => typeof counts === 'object' && counts !== null),
    is_cleared: z.boolean(),
    cleared_version: z.string().nullable(),
    wanted_free: z.number(),
    channel_version: z.string().nullable(),
    switch_wanted: z.boolean(),
    rollback_wanted: z.string().nullable(),
    created_at: time,
    ready_at: time.nullable(),
    switched_at: time.nullable(),
    ended_at: time.nullable(),
    revision: z.number(),
  })
  .transform((row): Rollout => ({
    id: row.id,
    regionId: row.region_id,
    groupId: row.group_id,
    fromImage: row.from_image,
    toImage: row.to_image,
    version: row.version,
    state: row.state,
    stateSince: row.state_since,
    paused: row.paused,
    canaryShare: row.canary_share,
    options: parseRolloutOptions(row.options),
    reason: row.reason,
    counts: row.counts,
    isCleared: row.is_cleared,
    clearedVersion: row.cleared_version,
    wantedFree: row.wanted_free,
    channelVersion: row.channel_version,
    switchWanted: row.switch_wanted,
    rollbackWanted: row.rollback_wanted,
    createdAt: row.created_at,
    readyAt: row.ready_at,
    switchedAt: row.switched_at,
    endedAt: row.ended_at,
    revision: row.revision,
  }))

export const versionRow = z
  .object({ id: z.string(), version: z.string(), revision: z.number() })
  .transform((row): ChannelVersion => row)
