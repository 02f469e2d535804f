/**
 * What the rows of a region make of a roll-out in one turn: at most one step. A step back comes before a step forward,
 * and a paused roll-out only steps back. Reasons bear no clock.
 */
import type { RolloutStep } from '../model/decision.ts'
import type { Rollout, RolloutState } from '../model/rollout.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import { isSameVersion } from '../model/version.ts'
import { imageOf } from './kept-images.ts'
import type { Verdict } from './verdict.ts'
import { hostsInARow, judgeCanary } from './verdict.ts'

/** What a step is decided from, beside the row. */
export interface StepView {
  readonly snapshot: RegionSnapshot
  /** Hosts that the new image's buffer lacks; undefined: its algorithm cannot say. */
  readonly missingHosts: number | undefined
  /** Of those, hosts for which there is no room. */
  readonly withoutRoom: number
  /** WAITING agents on ACTIVE hosts of the new image. */
  readonly free: number
  /** Told of moments to look again at, milliseconds since the epoch. */
  readonly isDue: (at: number) => boolean
}

/** Undefined: it stays as it is. */
export function stepOf(rollout: Rollout, view: StepView): RolloutStep | undefined {
  switch (rollout.state) {
    case 'PREPARING':
      return prepare(rollout, view)
    case 'READY':
      return wait(rollout, view)
    case 'CANARY':
      return watch(rollout, view)
    case 'SWITCHED':
      return bake(rollout, view)
    case 'DRAINING':
    case 'ROLLING_BACK':
      return empty(rollout, view)
    default:
      return undefined
  }
}

/** Of DRAINING: why it is to go back, by a roll-out in the opposite direction. */
export function wayBackOf(rollout: Rollout, snapshot: RegionSnapshot): string | undefined {
  const { activeImage, channelVersion } = snapshot
  // Who wished it wished to leave this image, not one that another roll-out has led to since.
  if (rollout.rollbackWanted !== null && activeImage?.id === rollout.toImage) return rollout.rollbackWanted
  const isBack =
    activeImage !== undefined &&
    channelVersion !== undefined &&
    isSameVersion(activeImage.version, channelVersion)
  return isBack ? undefined : levelFellBack(rollout, snapshot)
}

function prepare(rollout: Rollout, view: StepView): RolloutStep | undefined {
  const { missingHosts, withoutRoom, free, isDue } = view
  const back = rollout.rollbackWanted ?? neverConnected(view.snapshot)
  if (back !== undefined) return step(rollout, 'ROLLING_BACK', back)
  if (!rollout.paused) {
    if (missingHosts === 0) {
      const reason = `its buffer is full: ${counted(free, 'agent')} free`
      return step(rollout, 'READY', reason, { counts: { missing_hosts: 0, without_room: 0 } })
    }
    if (isDue(dueAt(rollout, rollout.options.prepare_s))) {
      const lack = missingHosts === undefined ? '' : `: it lacks ${counted(missingHosts, 'host')}`
      const reason = `its buffer was not full within prepare_s ${rollout.options.prepare_s}${lack}`
      return step(rollout, 'ROLLING_BACK', reason)
    }
  }
  const counts = {
    ...(missingHosts === undefined ? {} : { missing_hosts: missingHosts }),
    without_room: withoutRoom,
  }
  const { missing_hosts, without_room } = rollout.counts
  if (missing_hosts === counts.missing_hosts && without_room === counts.without_room) {
    return noteLevel(rollout, view.snapshot)
  }
  const room =
    withoutRoom === 0 ? '' : `; max_hosts and max_surge_hosts leave no room for ${withoutRoom} of them`
  const lack = missingHosts === undefined ? 'cannot be sized' : `lacks ${counted(missingHosts, 'host')}`
  return step(rollout, 'PREPARING', `its buffer ${lack}${room}`, {
    counts,
    ...levelOf(rollout, view.snapshot),
  })
}

function wait(rollout: Rollout, view: StepView): RolloutStep | undefined {
  const { ready_s: readyS } = rollout.options
  const back = rollout.rollbackWanted ?? neverConnected(view.snapshot)
  if (back !== undefined) return step(rollout, 'ROLLING_BACK', back)
  if (rollout.paused) return unclear(rollout, 'it is paused') ?? noteLevel(rollout, view.snapshot)
  if (rollout.canaryShare > 0 && !rollout.switchWanted) {
    return step(rollout, 'CANARY', `${percent(rollout.canaryShare)} of the users without a version get it`)
  }
  if (readyS !== null && view.isDue(dueAt(rollout, readyS))) {
    return step(rollout, 'ROLLING_BACK', `nothing switched it within ready_s ${readyS}`)
  }
  return clear(rollout, view)
}

function watch(rollout: Rollout, view: StepView): RolloutStep | undefined {
  const { snapshot } = view
  if (rollout.rollbackWanted !== null) return step(rollout, 'ROLLING_BACK', rollout.rollbackWanted)
  const verdict = verdictOf(rollout, view)
  if (verdict?.kind === 'bad') return step(rollout, 'ROLLING_BACK', verdict.reason, seenBy(snapshot))
  if (rollout.paused) return unclear(rollout, 'it is paused') ?? noteLevel(rollout, snapshot)
  if (rollout.switchWanted) return clear(rollout, view)
  if (verdict?.kind === 'too-few' && rollout.options.on_few_samples === 'rollback') {
    return step(rollout, 'ROLLING_BACK', verdict.reason, seenBy(snapshot))
  }
  const isGood =
    verdict?.kind === 'good' || (verdict?.kind === 'too-few' && rollout.options.on_few_samples === 'switch')
  if (!isGood) return unclear(rollout, 'its canary is not good yet') ?? noteLevel(rollout, snapshot)
  return clear(rollout, view, verdict)
}

/** A canary that saw too little, of whom nobody but a person can say what to do. */
export function alarmOf(rollout: Rollout, view: StepView): string | undefined {
  if (rollout.state !== 'CANARY' || rollout.options.on_few_samples !== 'wait' || rollout.switchWanted)
    return undefined
  const verdict = verdictOf(rollout, view)
  return verdict?.kind === 'too-few' ? `${verdict.reason}; switch it or roll it back` : undefined
}

function bake(rollout: Rollout, { snapshot, isDue }: StepView): RolloutStep | undefined {
  const back = rollout.rollbackWanted ?? levelFellBack(rollout, snapshot)
  if (back !== undefined) return step(rollout, 'ROLLING_BACK', back, levelOf(rollout, snapshot))
  if (!rollout.paused && isDue(dueAt(rollout, rollout.options.bake_s))) {
    const reason = `nothing called it back within bake_s ${rollout.options.bake_s}`
    return step(rollout, 'DRAINING', reason, levelOf(rollout, snapshot))
  }
  return noteLevel(rollout, snapshot)
}

/** DRAINING ends when the old hosts have, ROLLING_BACK when the new ones have; neither waits for sessions for ever. */
function empty(rollout: Rollout, { snapshot, isDue }: StepView): RolloutStep | undefined {
  const [leaves, ends] =
    rollout.state === 'DRAINING'
      ? ([rollout.fromImage, 'DONE'] as const)
      : ([rollout.toImage, 'ROLLED_BACK'] as const)
  const left = snapshot.hosts.filter((host) => host.imageId === leaves).length
  if (left === 0) return step(rollout, ends, `none of the hosts that had to leave is left${whyBack(rollout)}`)
  const { drain } = snapshot.region.deadlines
  // The host's own deadline runs from its fence, and is kept by upkeep; a pause does not hold what was fenced.
  if (!isDue(rollout.stateSince + drain * 1000)) {
    // What calls it back may have to wait for who leads, and is not to be forgotten meanwhile.
    const mayForget = rollout.state === 'DRAINING' && levelFellBack(rollout, snapshot) === undefined
    return mayForget ? noteLevel(rollout, snapshot) : undefined
  }
  return step(
    rollout,
    ends,
    `${counted(left, 'host')} still drain after ${drain} s; upkeep ends them${whyBack(rollout)}`,
  )
}

/** What stays to be read of a roll-out that failed. */
function whyBack({ state, reason }: Rollout): string {
  if (state !== 'ROLLING_BACK' || reason === null) return ''
  return `; it went back: ${reason.replace(/^[A-Z_]+ → ROLLING_BACK: /, '')}`
}

function clear(rollout: Rollout, view: StepView, verdict?: Verdict): RolloutStep | undefined {
  const { snapshot, free } = view
  const why = switchReason(rollout, snapshot)
  if (why === undefined)
    return unclear(rollout, 'nothing asks for its switch any more') ?? noteLevel(rollout, snapshot)
  const { clearedVersion, reason } = why
  const wantedFree = Math.min(free, Math.max(1, snapshot.region.targetFreeAgents))
  // A buffer that is full with fewer agents by now would never have as many again.
  const isStill = rollout.clearedVersion === clearedVersion && rollout.wantedFree <= wantedFree
  if (rollout.isCleared && isStill) return noteLevel(rollout, snapshot)
  // Cleared once, it stays so: the database holds the switch until as many agents are free.
  if (view.missingHosts !== 0) return noteLevel(rollout, snapshot)
  const health = verdict === undefined ? '' : `; ${verdict.reason}`
  return step(rollout, rollout.state, `it may be switched: ${reason}${health}`, {
    isCleared: true,
    clearedVersion,
    wantedFree,
    ...(verdict === undefined ? {} : seenBy(snapshot)),
    ...levelOf(rollout, snapshot),
  })
}

function unclear(rollout: Rollout, why: string): RolloutStep | undefined {
  if (!rollout.isCleared) return undefined
  return step(rollout, rollout.state, `it may not be switched: ${why}`, {
    isCleared: false,
    clearedVersion: null,
  })
}

/** Who wants the switch, and for which of the channel's versions (null: for any). */
function switchReason(
  { switchWanted, options, version }: Rollout,
  { channelVersion, region }: RegionSnapshot,
): { readonly reason: string; readonly clearedVersion: string | null } | undefined {
  if (switchWanted) return { reason: 'a person asked for it', clearedVersion: null }
  if (options.switch === 'ready') return { reason: 'it switches when it is ready', clearedVersion: null }
  if (options.switch === 'hand' || channelVersion === undefined) return undefined
  if (!isSameVersion(channelVersion, version)) return undefined
  return { reason: `channel ${region.channel} has ${channelVersion}`, clearedVersion: channelVersion }
}

/** The channel's version went back to the old image's, since a turn last looked. */
function levelFellBack(rollout: Rollout, snapshot: RegionSnapshot): string | undefined {
  const { channelVersion, region } = snapshot
  if (channelVersion === undefined || channelVersion === rollout.channelVersion) return undefined
  if (isSameVersion(channelVersion, rollout.version)) return undefined
  const old = imageOf(snapshot, rollout.fromImage)
  if (old === undefined || !isSameVersion(channelVersion, old.version)) return undefined
  return `channel ${region.channel} has gone back to ${channelVersion}`
}

function noteLevel(rollout: Rollout, snapshot: RegionSnapshot): RolloutStep | undefined {
  const level = levelOf(rollout, snapshot)
  if (!('channelVersion' in level)) return undefined
  return step(
    rollout,
    rollout.state,
    `channel ${snapshot.region.channel} has ${level.channelVersion ?? 'no version'}`,
    level,
  )
}

function levelOf(
  rollout: Rollout,
  { channelVersion = null }: { readonly channelVersion?: string | null | undefined },
): { readonly channelVersion?: string | null } {
  return channelVersion === rollout.channelVersion ? {} : { channelVersion }
}

function verdictOf(rollout: Rollout, { snapshot, isDue }: StepView): Verdict | undefined {
  const { rolloutHealth: health, now } = snapshot
  // Until it is counted again nothing is known.
  if (health === undefined) return undefined
  const watchedMs = Math.max(0, now - rollout.stateSince)
  const verdict = judgeCanary({ health, options: rollout.options, watchedMs })
  if (verdict.nextLookMs !== undefined) isDue(now + verdict.nextLookMs)
  return verdict
}

function neverConnected({ rolloutHealth }: RegionSnapshot): string | undefined {
  const hosts = rolloutHealth?.neverConnected ?? 0
  return hosts < hostsInARow ? undefined : `${hosts} of its hosts in a row never connected`
}

function seenBy({ rolloutHealth }: RegionSnapshot): Pick<RolloutStep, 'counts'> {
  return rolloutHealth === undefined ? {} : { counts: { missing_hosts: 0, canary: rolloutHealth } }
}

function dueAt(rollout: Rollout, seconds: number): number {
  return rollout.stateSince + seconds * 1000
}

function step(
  rollout: Rollout,
  to: RolloutState,
  reason: string,
  more: Partial<RolloutStep> = {},
): RolloutStep {
  const said = to === rollout.state ? `${to}: ${reason}` : `${rollout.state} → ${to}: ${reason}`
  return { kind: 'rollout', rolloutId: rollout.id, from: rollout.state, to, reason: said, ...more }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`
}
