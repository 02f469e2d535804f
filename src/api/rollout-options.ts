import { z } from 'zod'

import { defaultRolloutOptions } from '../model/rollout.ts'

const seconds = z.number().min(0).max(31_536_000).optional()
const share = z.number().min(0).max(1)
const known = Object.keys(defaultRolloutOptions).join(', ')

/**
 * Options that somebody gives to one roll-out: a fault is said, where one in a row falls back to its default
 * (`parseRolloutOptions`). A test holds the two to the same bounds.
 */
export const rolloutOptions = z.strictObject(
  {
    prepare_s: seconds,
    ready_s: z.number().min(0).max(31_536_000).nullable().optional(),
    canary_min_s: seconds,
    canary_min_sessions: z.number().int().min(1).max(1_000_000).optional(),
    canary_s: seconds,
    canary_tolerance: share.optional(),
    on_few_samples: z.enum(['wait', 'switch', 'rollback']).optional(),
    bake_s: seconds,
    switch: z.enum(['version', 'ready', 'hand']).optional(),
    on_member_failure: z.enum(['rollback-all', 'leave-out']).optional(),
    session_cover: share.optional(),
    notify_sessions: z.boolean().optional(),
  },
  {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `there is no option ${(issue['keys'] as readonly string[]).join(', ')}; there are ${known}`
        : undefined,
  },
)

/** The part of requests that the canary gets, 0 to 1; 0: no canary. */
export const canaryShare = share
