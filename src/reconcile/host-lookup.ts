import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

/** The hosts of these ids that the region has. A map of all its hosts would cost more than the turn of a big region. */
export function findHosts(snapshot: RegionSnapshot, ids: ReadonlySet<string>): ReadonlyMap<string, HostView> {
  const found = new Map<string, HostView>()
  if (ids.size === 0) return found
  for (const host of snapshot.hosts) {
    if (ids.has(host.id)) found.set(host.id, host)
  }
  return found
}
