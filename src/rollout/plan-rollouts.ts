/**
 * What a turn does about a region's images, before its algorithm is asked (docs/design/rollouts.md). Pure: the rows as
 * upkeep leaves them, and the algorithm as a function, decide which step each roll-out takes, which images are kept in
 * size, and whose hosts leave. A step is taken by the rows alone; what follows from it follows in the next turn, so a
 * step that the database refuses has no consequences.
 */
import type { Decision, DrainDecision, RolloutDecision } from '../model/decision.ts'
import type { Rollout } from '../model/rollout.ts'
import { isLeading, leadingRollout } from '../model/rollout.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import { drainLeavers } from './drains.ts'
import type { KeptImage } from './kept-images.ts'
import { keptImages } from './kept-images.ts'
import { asItStands, narrowTo, unboundedly } from './narrow.ts'
import { opening, wayBack } from './openings.ts'
import type { StepView } from './steps.ts'
import { alarmOf, stepOf, wayBackOf } from './steps.ts'

/** How many hosts a region's algorithm would launch for a snapshot; undefined: it cannot say. */
export type Wish = (snapshot: RegionSnapshot) => number | undefined

export interface RolloutPlan {
  readonly decisions: readonly (
    RolloutDecision | DrainDecision | Extract<Decision, { kind: 'report' | 'refuse' }>
  )[]
  /** For whom the algorithm is asked, the ACTIVE one first. */
  readonly kept: readonly KeptImage[]
  /** Groups that may be switched, as far as this region can say. */
  readonly switches: readonly string[]
  /** Milliseconds since the epoch: when the same rows decide something new. */
  readonly nextDeadline: number | undefined
}

export function planRollouts(snapshot: RegionSnapshot, wish: Wish): RolloutPlan {
  const kept = keptImages(snapshot)
  const { rollouts } = snapshot
  let next = Infinity
  const isDue = (at: number): boolean => {
    if (at <= snapshot.now) return true
    next = Math.min(next, at)
    return false
  }
  const beginning = opening(snapshot)
  const steps = rollouts.flatMap((rollout) => {
    // What is about to give way takes no step of its own: the opening says where it goes.
    if (beginning !== undefined && isLeading(rollout)) return []
    // Between two images, by somebody's hand or half heard of: what is on its way out may end, nothing else is decided.
    if (snapshot.activeImage === undefined && isLeading(rollout)) return []
    return stepsOf(rollout, { ...bufferOf(rollout, snapshot, kept, wish), snapshot, isDue })
  })
  const goesBack = steps.some((step) => step.kind === 'open-rollout')
  const decisions = [...steps, ...(beginning === undefined || goesBack ? [] : [beginning])]
  return {
    decisions: [...decisions, ...drains(snapshot, kept, wish)],
    kept: kept.filter(({ keeper }) => keeper === undefined || !leavesNow(keeper, decisions)),
    switches: rollouts.flatMap((rollout) =>
      isSwitching(rollout, decisions) || isLeftBehind(rollout, decisions) ? [rollout.groupId] : [],
    ),
    nextDeadline: next === Infinity ? undefined : next,
  }
}

function stepsOf(rollout: Rollout, view: StepView): RolloutPlan['decisions'] {
  if (rollout.state === 'DRAINING') {
    const why = wayBackOf(rollout, view.snapshot)
    // Whoever leads by now has made another image of it than the one that this one could come back from.
    if (why !== undefined && leadingRollout(view.snapshot) === undefined) {
      const back = wayBack(rollout, why)
      const reason = `DRAINING → ROLLED_BACK: ${why}; roll-out ${back.rolloutId} leads back`
      return [{ kind: 'rollout', rolloutId: rollout.id, from: 'DRAINING', to: 'ROLLED_BACK', reason }, back]
    }
  }
  const step = stepOf(rollout, view)
  if (step !== undefined) return [step]
  const alarm = alarmOf(rollout, view)
  return alarm === undefined ? [] : [{ kind: 'refuse', target: rollout.id, reason: alarm }]
}

/** How the buffer of the image that a roll-out leads to stands. */
function bufferOf(
  rollout: Rollout,
  snapshot: RegionSnapshot,
  kept: readonly KeptImage[],
  wish: Wish,
): Pick<StepView, 'missingHosts' | 'withoutRoom' | 'free'> {
  const candidate = kept.find(({ image, keeper }) => image.id === rollout.toImage && keeper !== undefined)
  if (candidate === undefined || rollout.state === 'SWITCHED') {
    return { missingHosts: undefined, withoutRoom: 0, free: 0 }
  }
  const narrowed = narrowTo(snapshot, candidate, 0)
  const coming = narrowed.hosts.filter(({ status }) => status === 'LAUNCHING' || status === 'PRE_CONNECTION')
  const missingHosts = wish(asItStands(narrowed, snapshot.region))
  const room = narrowed.region.maxHosts - narrowed.hosts.length
  const free = narrowed.hosts.reduce(
    (sum, host) => sum + (host.status === 'ACTIVE' ? host.waitingAgents : 0),
    0,
  )
  return { missingHosts, withoutRoom: Math.max(0, (missingHosts ?? 0) - coming.length - room), free }
}

function drains(
  snapshot: RegionSnapshot,
  kept: readonly KeptImage[],
  wish: Wish,
): ReturnType<typeof drainLeavers> {
  const ids = new Set(kept.map(({ image }) => image.id))
  const active = kept.find(({ role }) => role === 'active')
  if (active === undefined || snapshot.hosts.every(({ imageId }) => imageId !== null && ids.has(imageId)))
    return []
  const narrowed = narrowTo(snapshot, active, 0)
  const missing = wish(asItStands(narrowed, snapshot.region))
  const room = narrowed.region.maxHosts - narrowed.hosts.length
  const withoutRoom = Math.max(0, (wish(unboundedly(narrowed, snapshot.region)) ?? 0) - room)
  return drainLeavers(snapshot, { kept: ids, isFull: missing === 0, withoutRoom })
}

/** Whether this turn takes the roll-out a step after which the image need not be kept. */
function leavesNow(rollout: Rollout, decisions: readonly Decision[]): boolean {
  return decisions.some(
    (decision) =>
      decision.kind === 'open-rollout' ||
      (decision.kind === 'rollout' &&
        decision.rolloutId === rollout.id &&
        (decision.to === 'ROLLING_BACK' || decision.to === 'DRAINING')),
  )
}

/** Its group may have waited for it alone, and goes without it. */
function isLeftBehind({ id, groupId, state, options }: Rollout, decisions: readonly Decision[]): boolean {
  if (groupId === id || options.on_member_failure !== 'leave-out') return false
  return (
    state === 'ROLLING_BACK' ||
    decisions.some((one) => one.kind === 'rollout' && one.rolloutId === id && one.to === 'ROLLING_BACK')
  )
}

function isSwitching(rollout: Rollout, decisions: readonly Decision[]): boolean {
  if (rollout.state !== 'READY' && rollout.state !== 'CANARY') return false
  const step = decisions.find((decision) => decision.kind === 'rollout' && decision.rolloutId === rollout.id)
  if (step?.kind === 'rollout' && (step.to !== rollout.state || step.isCleared !== undefined)) {
    return step.to === rollout.state && step.isCleared === true
  }
  return rollout.isCleared && !rollout.paused
}
