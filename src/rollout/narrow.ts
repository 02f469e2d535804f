/**
 * A region as an algorithm sees it: one image, its hosts, its share of demand and its part of the host budget. So an
 * algorithm that knows nothing of roll-outs fills a candidate's buffer as it fills any other.
 */
import { leavingHosts } from '../model/leaving.ts'
import type { Region } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import type { KeptImage } from './kept-images.ts'

/**
 * `launched`: how many hosts this turn launches already, for other images. A region of one image is given as it is.
 */
export function narrowTo(snapshot: RegionSnapshot, kept: KeptImage, launched: number): RegionSnapshot {
  const { image, keeper } = kept
  if (snapshot.rollouts.length === 0 && snapshot.hosts.every(({ imageId }) => imageId === image.id)) {
    return snapshot
  }
  const own = snapshot.hosts.filter(({ imageId }) => imageId === image.id)
  const room = kept.role === 'active' ? activeRoom(snapshot, own.length) : surgeRoom(snapshot, own.length)
  const maxHosts = own.length + Math.max(0, room - launched)
  return {
    ...snapshot,
    region: {
      ...snapshot.region,
      maxHosts,
      maxSurgeHosts: 0,
      minHosts: Math.min(snapshot.region.minHosts, maxHosts),
    },
    images: [image],
    activeImage: image,
    hosts: keeper === undefined ? own : own.map(protect),
    waitingUsers: waitingFor(snapshot, kept) + usersToCome(snapshot, image.id),
    waitingUsersOf: {},
    rollouts: [],
    rolloutHealth: undefined,
  }
}

/** The same as if there were room for whatever is wanted; `region`: what it was narrowed from. */
export function unboundedly(narrowed: RegionSnapshot, { minHosts }: Region): RegionSnapshot {
  return {
    ...narrowed,
    region: { ...narrowed.region, minHosts, maxHosts: narrowed.hosts.length + unbounded },
  }
}

/** The same with nothing but what is there now: whoever lacks nothing of it has a full buffer. */
export function asItStands(narrowed: RegionSnapshot, { minHosts }: Region): RegionSnapshot {
  const hosts = narrowed.hosts.flatMap((host): HostView | readonly never[] =>
    // One whose agents are still on their way is not there yet.
    host.status === 'ACTIVE' && host.waitingAgents + host.liveAgents > 0
      ? { ...host, capacity: host.waitingAgents + host.liveAgents }
      : [],
  )
  return {
    ...narrowed,
    // What stands against a launch is not asked here.
    region: { ...narrowed.region, enabled: true, minHosts, maxHosts: hosts.length + unbounded },
    launchBlockedUntil: undefined,
    hosts,
  }
}

const unbounded = 1_000_000

function protect(host: HostView): HostView {
  return host.protected ? host : { ...host, protected: true }
}

/** maxHosts, and beside it as many as the surge takes of the others. */
function activeRoom(snapshot: RegionSnapshot, own: number): number {
  const { region, hosts, rollouts } = snapshot
  const others = rollouts.length === 0 ? 0 : hosts.length - own
  const surge = Math.min(region.maxSurgeHosts, leavingHosts(snapshot) + others)
  return region.maxHosts + surge - hosts.length
}

/** maxHosts and the whole surge, but no more of one image than maxHosts. */
function surgeRoom({ region, hosts }: RegionSnapshot, own: number): number {
  return Math.min(region.maxHosts + region.maxSurgeHosts - hosts.length, region.maxHosts - own)
}

function waitingFor({ waitingUsers, waitingUsersOf }: RegionSnapshot, { image, role }: KeptImage): number {
  if (role !== 'active') return waitingUsersOf[image.id] ?? 0
  return Math.max(0, waitingUsers - Object.values(waitingUsersOf).reduce((sum, count) => sum + count, 0))
}

/**
 * Users who have a session on another image, and will want one of this image when they come again: without a roll-out
 * they would find the very seat that their session leaves.
 */
function usersToCome({ hosts, rollouts }: RegionSnapshot, imageId: string): number {
  const cover = rollouts.reduce((most, { options }) => Math.max(most, options.session_cover), 0)
  if (cover === 0) return 0
  const live = hosts.reduce((sum, host) => sum + (host.imageId === imageId ? 0 : host.liveAgents), 0)
  return Math.ceil(cover * live)
}
