/**
 * Hosts that their provider takes (docs/design/interruptions.md). One that is interrupted is fenced, stands until its
 * time, and is replaced beside itself. One that its provider advises to leave serves on until its stand-in, the host
 * that was launched to replace it, is ACTIVE: until then the two of them count as one, and neither is scaled down.
 */
import { isServing } from './serving.ts'
import type { HostView, RegionSnapshot } from './snapshot.ts'

/** By the id of the host that it was launched to replace: one that is on its way or ACTIVE, rather than leaving itself. */
export function standInsOf({ hosts }: Pick<RegionSnapshot, 'hosts'>): ReadonlyMap<string, HostView> {
  const standIns = new Map<string, HostView>()
  for (const host of hosts) {
    if (host.replaces === null || host.status === 'DRAINING' || host.status === 'TERMINATING') continue
    if (host.status === 'ACTIVE' || !standIns.has(host.replaces)) standIns.set(host.replaces, host)
  }
  return standIns
}

/**
 * Whether its provider advises to leave its machine while it serves. Who gets no new users (a host of an older image)
 * needs no replacement, it leaves by itself; who is interrupted is replaced for that.
 */
export function isAdvised(host: HostView, snapshot: RegionSnapshot): boolean {
  if (host.rebalanceAdvisedAt === null || host.interruptionAt !== null) return false
  return host.status !== 'LAUNCHING' && isServing(host, snapshot)
}

interface Exchange {
  readonly host: HostView
  readonly standIn: HostView
}

/** Exchanges under way. A protected host stays, and whatever was launched for it is a host as any other. */
function exchangesOf(snapshot: RegionSnapshot): readonly Exchange[] {
  const standIns = standInsOf(snapshot)
  if (standIns.size === 0) return []
  return snapshot.hosts.flatMap((host): Exchange | readonly never[] => {
    const standIn = standIns.get(host.id)
    return standIn === undefined || host.protected || !isAdvised(host, snapshot) ? [] : { host, standIn }
  })
}

/** Both sides of each exchange under way, by id: none of them may be scaled down. */
export function exchangedHosts(snapshot: RegionSnapshot): ReadonlySet<string> {
  return new Set(exchangesOf(snapshot).flatMap(({ host, standIn }) => [host.id, standIn.id]))
}

/** Stand-ins that bring nothing yet: they are on their way, and what they replace still counts. By id. */
export function idleStandIns(snapshot: RegionSnapshot): ReadonlySet<string> {
  const idle = exchangesOf(snapshot).filter(({ standIn }) => standIn.status !== 'ACTIVE')
  return new Set(idle.map(({ standIn }) => standIn.id))
}

/** How many hosts may be launched now: as many as fit under maxHosts, beside those that their provider takes. */
export function launchRoom(snapshot: Pick<RegionSnapshot, 'hosts' | 'region'>): number {
  return Math.max(0, snapshot.region.maxHosts + surgeOf(snapshot) - snapshot.hosts.length)
}

/** How far maxHosts may be passed: by the hosts that stand and are being replaced, but no further than maxSurgeHosts. */
export function surgeOf(snapshot: Pick<RegionSnapshot, 'hosts' | 'region'>): number {
  const { maxSurgeHosts } = snapshot.region
  return maxSurgeHosts === 0 ? 0 : Math.min(maxSurgeHosts, leavingHosts(snapshot))
}

/** Hosts that stand, are taken by their provider, and are being replaced; `fleet.leaving_hosts` counts no fewer. */
export function leavingHosts(snapshot: Pick<RegionSnapshot, 'hosts'>): number {
  const standIns = standInsOf(snapshot)
  return snapshot.hosts.filter(
    (host) => host.interruptionAt !== null || (host.rebalanceAdvisedAt !== null && standIns.has(host.id)),
  ).length
}
