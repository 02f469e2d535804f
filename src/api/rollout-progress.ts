/** What a roll-out waits for, and until when: from its row and what is held of its region. */
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { Rollout, RolloutHealth } from '../model/rollout.ts'
import { isLeading, isOver } from '../model/rollout.ts'
import { isSameVersion } from '../model/version.ts'
import { timeText } from './time-text.ts'

/** What stands and serves of one image. */
export interface ImageFigures {
  /** That have not ended. */
  readonly hosts: number
  /** Of these, those that have not connected yet. */
  readonly coming: number
  /** Agents that can be had. */
  readonly free: number
  /** Agents that serve a user. */
  readonly live: number
}

export interface RolloutSurroundings {
  /** Of its region; undefined: nothing is held of it. */
  readonly snapshot: RegionSnapshot | undefined
  /** Of its group, itself too. */
  readonly members: readonly Rollout[]
  /** How its canary does; undefined: it has none. */
  readonly health?: RolloutHealth | undefined
}

/** Of an image, by `images.id`. */
export function figuresOf(imageId: string, snapshot: RegionSnapshot | undefined): ImageFigures {
  const hosts = (snapshot?.hosts ?? []).filter((host) => host.imageId === imageId)
  const sum = (figures: readonly number[]): number => figures.reduce((all, one) => all + one, 0)
  return {
    hosts: hosts.length,
    coming: hosts.filter(({ status }) => status === 'LAUNCHING' || status === 'PRE_CONNECTION').length,
    free: sum(hosts.map((host) => (host.status === 'ACTIVE' ? host.waitingAgents : 0))),
    live: sum(hosts.map((host) => host.liveAgents)),
  }
}

/** When its state ends at the latest, milliseconds since the epoch; null: it has no end of its own, or stands still. */
export function deadlineOf(rollout: Rollout, snapshot: RegionSnapshot | undefined): number | null {
  const { state, stateSince, options, paused } = rollout
  const after = (seconds: number | null | undefined): number | null =>
    seconds === null || seconds === undefined ? null : stateSince + seconds * 1000
  if (paused && isLeading(rollout)) return null
  switch (state) {
    case 'PREPARING':
      return after(options.prepare_s)
    case 'READY':
      return after(options.ready_s)
    case 'CANARY':
      return after(options.canary_s)
    case 'SWITCHED':
      return after(options.bake_s)
    case 'DRAINING':
    case 'ROLLING_BACK':
      return after(snapshot?.region.deadlines.drain)
    case 'DONE':
    case 'ROLLED_BACK':
      return null
  }
}

/** A canary that nothing has let go on by its deadline: it saw too little, or nobody asks for its switch. */
export function isOverdue({ state, stateSince, paused, isCleared, options }: Rollout, now: number): boolean {
  return state === 'CANARY' && !paused && !isCleared && now >= stateSince + options.canary_s * 1000
}

const nextTurn = 'the next turn of its region'

/** In words; null: it is over. */
export function waitsFor(rollout: Rollout, surroundings: RolloutSurroundings): string | null {
  const { snapshot } = surroundings
  const { state, rollbackWanted } = rollout
  if (rollbackWanted !== null && !isOver(rollout) && state !== 'ROLLING_BACK') {
    return `${nextTurn}, which takes it back`
  }
  if (rollout.paused && isLeading(rollout)) return 'a person to resume it'
  switch (state) {
    case 'PREPARING':
      return missingHosts(rollout.counts)
    case 'READY':
    case 'CANARY':
      return canaryOf(rollout, surroundings) ?? switchOf(rollout, surroundings)
    case 'SWITCHED':
      return `the end of its bake at ${timeText(deadlineOf(rollout, snapshot) ?? rollout.stateSince)}`
    case 'DRAINING':
      return emptyHosts('old', figuresOf(rollout.fromImage, snapshot))
    case 'ROLLING_BACK':
      return emptyHosts('new', figuresOf(rollout.toImage, snapshot))
    case 'DONE':
    case 'ROLLED_BACK':
      return null
  }
}

function emptyHosts(which: 'old' | 'new', { hosts, live }: ImageFigures): string {
  if (hosts === 0) return nextTurn
  return `${several(hosts, 'host')} of the ${which} image to end, on which ${several(live, 'session')} run`
}

function missingHosts({ missing_hosts: missing, without_room: withoutRoom = 0 }: Rollout['counts']): string {
  if (missing === undefined || missing === 0) return nextTurn
  const hosts = `${several(missing, 'more host')} of the new image`
  return withoutRoom === 0
    ? hosts
    : `${hosts}; max_hosts and max_surge_hosts leave no room for ${withoutRoom} of them`
}

/** Undefined: it is not the canary that it waits for. */
function canaryOf(rollout: Rollout, { snapshot, health }: RolloutSurroundings): string | undefined {
  const { state, canaryShare, isCleared, switchWanted, stateSince, options } = rollout
  if (isCleared || switchWanted || canaryShare === 0) return undefined
  if (state === 'READY') return `${nextTurn}, which begins its canary`
  const seen = health?.candidate ?? { sessions: 0, failed: 0 }
  const missing = options.canary_min_sessions - seen.sessions
  if (missing > 0) return `its canary to see ${several(missing, 'more session')}`
  const least = stateSince + options.canary_min_s * 1000
  if (snapshot !== undefined && snapshot.now < least) return `its canary, until ${timeText(least)} at least`
  return undefined
}

function switchOf(rollout: Rollout, { snapshot, members }: RolloutSurroundings): string {
  const { id, version, isCleared, switchWanted, options, channelVersion } = rollout
  const has = snapshot?.channelVersion ?? channelVersion
  if (!isCleared && !switchWanted) {
    if (options.switch === 'hand') return 'a person to switch it'
    if (options.switch === 'version' && (has === null || !isSameVersion(has, version))) {
      const channel = snapshot?.region.channel ?? 'of its region'
      return `channel ${channel} to have ${version}; ${has === null ? 'nobody has said what it has' : `it has ${has}`}`
    }
  }
  if (!isCleared && !switchWanted && rollout.state === 'CANARY') return 'its canary to be good for certain'
  const others = members.filter((member) => member.id !== id && isLeading(member) && !member.isCleared)
  if (!isCleared || others.length === 0) return nextTurn
  return `the others of its group: ${others.map(({ regionId, state }) => `${regionId} is ${state}`).join(', ')}`
}

function several(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
