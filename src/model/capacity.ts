import type { HostStatus } from './host.ts'
import { idleStandIns } from './leaving.ts'
import type { Region } from './region.ts'
import { isServing } from './serving.ts'
import type { RegionSnapshot } from './snapshot.ts'

/**
 * The figures that a buffer is kept by, counted in one pass. They live here because an algorithm decides by them, the
 * guard holds `minHosts` by them, a turn stores them for its replay, and the API shows them: all four must agree.
 */
export interface Capacity {
  /** WAITING agents on ACTIVE hosts of the ACTIVE image: what the next user can have at once. */
  readonly free: number
  /**
   * Agents on their way: seats of the ACTIVE image's LAUNCHING, PRE_CONNECTION and ACTIVE hosts that are neither free
   * nor live. The seat of a DYING agent comes back, since its manager restarts it (and lowers `capacity` when it cannot).
   * A stand-in that is on its way brings none while the host that it is to replace serves.
   */
  readonly coming: number
  /** Agents that serve a user, on any host. */
  readonly live: number
  /** Those of them whose host its provider ends: their users will want others. */
  readonly displaced: number
  /** Hosts that count for `minHosts` (see `isServing`), a host and its stand-in as one. */
  readonly serving: number
  readonly hosts: Readonly<Record<HostStatus, number>>
}

export function countCapacity(snapshot: RegionSnapshot): Capacity {
  const imageId = snapshot.activeImage?.id
  const hosts: Record<HostStatus, number> = {
    LAUNCHING: 0,
    PRE_CONNECTION: 0,
    ACTIVE: 0,
    DRAINING: 0,
    UNRESPONSIVE: 0,
    TERMINATING: 0,
    TERMINATED: 0,
  }
  let free = 0
  let coming = 0
  let live = 0
  let displaced = 0
  let serving = 0
  const idle = idleStandIns(snapshot)
  for (const host of snapshot.hosts) {
    hosts[host.status] += 1
    live += host.liveAgents
    if (host.interruptionAt !== null) displaced += host.liveAgents
    if (!isServing(host, snapshot) || idle.has(host.id)) continue
    serving += 1
    if (host.imageId !== imageId) continue
    // Agents of a host that is not ACTIVE yet can be WAITING already, but nobody can have them.
    const freeHere = host.status === 'ACTIVE' ? host.waitingAgents : 0
    free += freeHere
    coming += Math.max(0, host.capacity - freeHere - host.liveAgents)
  }
  return { free, coming, live, displaced, serving, hosts }
}

/** A provider's message can be a page; what is said of it must fit a reason. */
const longestMessage = 300

/** Why nothing may be launched now, in words without a clock; undefined when something may. */
export function launchObstacle(snapshot: RegionSnapshot): string | undefined {
  const { region, activeImage, now, launchBlockedUntil } = snapshot
  if (!region.enabled) return 'the region is not enabled'
  if (activeImage === undefined) return 'no image is ACTIVE'
  if (region.agentsPerHostGiven === null && region.agentsPerHostDiscovered === null) {
    return `it is not known yet how many agents a host of the region holds${causeOf(region)}`
  }
  if (launchBlockedUntil === undefined || launchBlockedUntil <= now) return undefined
  const cause = region.launchErrorCode === null ? ': a launch failed' : causeOf(region)
  return `launches are held back for now because ${cause.slice(2)}`.toWellFormed()
}

function causeOf({ launchErrorCode: code, launchError: message }: Region): string {
  if (code === null) return ''
  return `: ${code}${message === null ? '' : `: ${message.slice(0, longestMessage)}`}`.toWellFormed()
}
