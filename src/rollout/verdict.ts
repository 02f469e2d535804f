import type { Arm, RolloutHealth, RolloutOptions } from '../model/rollout.ts'
import { differenceInterval } from './difference-interval.ts'

/** What a canary has shown (docs/design/canary.md). */
export interface Verdict {
  /**
   * bad: roll back. good: not bad, and seen for long enough. watch: wait for more. too-few: `canary_s` has passed and
   * there was too little to tell; `on_few_samples` decides.
   */
  readonly kind: 'bad' | 'good' | 'watch' | 'too-few'
  /** With figures, but without a clock: what has not changed reads the same. */
  readonly reason: string
  /** After how many ms the same figures may give another verdict; left out where they never will. */
  readonly nextLookMs?: number
}

/**
 * Standard errors: the 99 % interval. It is looked at after every session; with the 95 % interval an image as good as the old
 * one would be called bad in up to 9 % of the canaries, with this one in about 2 %.
 */
const standardErrors = 2.576
/** A good candidate is surely less than this worse, 0 to 1, beyond the tolerance, … */
const excluded = 0.13
/** … where so many sessions are asked for; who asks for fewer sees less. */
const excludedWithSessions = 20
/** So many new hosts in a row that never connect are no accident. */
export const hostsInARow = 3
/**
 * Until the old image has had so many sessions (or as many as the new one) meanwhile, the missing ones count as sessions that
 * ended well: it is the image that the region lived with.
 */
const controlSessions = 100

/** @param watched.watchedMs how long the candidate has been in its canary, pauses not counted. */
export function judgeCanary(watched: {
  health: RolloutHealth
  options: RolloutOptions
  watchedMs: number
}): Verdict {
  const { health, options, watchedMs } = watched
  const { candidate, neverConnected } = health
  const figures = inWords(health)
  if (neverConnected >= hostsInARow) {
    return { kind: 'bad', reason: `${neverConnected} hosts of the new image in a row never connected` }
  }
  const missing = options.canary_min_sessions - candidate.sessions
  const worse = differenceInterval(candidate, withBenefit(health), standardErrors)
  if (missing <= 0 && worse.least > options.canary_tolerance) {
    return { kind: 'bad', reason: `${figures}: at least ${points(worse.least)} worse (95 %)` }
  }

  const limit =
    options.canary_tolerance +
    excluded * Math.max(1, excludedWithSessions / Math.max(1, options.canary_min_sessions))
  const isSeenEnough = missing <= 0 && worse.most < limit
  const untilLeast = options.canary_min_s * 1000 - watchedMs
  if (isSeenEnough && untilLeast <= 0) return { kind: 'good', reason: figures }
  const open = isSeenEnough
    ? `${figures}: good so far`
    : missing > 0
      ? `${figures}: ${options.canary_min_sessions} of the new one are needed`
      : `${figures}: it may still be ${points(worse.most)} worse, and must be surely less than ${points(limit)}`
  const untilDeadline = options.canary_s * 1000 - watchedMs
  if (untilDeadline <= 0) return { kind: 'too-few', reason: open }
  return {
    kind: 'watch',
    reason: open,
    nextLookMs: isSeenEnough ? Math.min(untilLeast, untilDeadline) : untilDeadline,
  }
}

function withBenefit({ candidate, control }: RolloutHealth): Arm {
  const least = Math.min(candidate.sessions, controlSessions)
  return { sessions: Math.max(control.sessions, least), failed: control.failed }
}

function inWords({ candidate, control }: RolloutHealth): string {
  const sessions = candidate.sessions === 1 ? 'session' : 'sessions'
  return (
    `${candidate.failed} of ${candidate.sessions} ${sessions} of the new image failed, ` +
    `${control.failed} of ${control.sessions} of the old one`
  )
}

function points(share: number): string {
  return `${(100 * share).toFixed(1)} points`
}
