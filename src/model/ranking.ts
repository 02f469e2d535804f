import type { HostView, RegionSnapshot } from './snapshot.ts'

/**
 * Ids of WAITING agents on ACTIVE hosts of the ACTIVE image, the fullest host's first (fewest WAITING agents, then id),
 * so that the others empty and can go. At most `limit` agents: one pass that keeps only the best hosts, since an assign
 * asks this of regions of any size.
 */
export function fullestHostFirst(snapshot: RegionSnapshot, limit = 32): readonly string[] {
  const imageId = snapshot.activeImage?.id
  if (imageId === undefined) return []
  // Sorted; every host in it has at least one agent to offer, so `limit` hosts are always enough.
  const best: HostView[] = []
  for (const host of snapshot.hosts) {
    if (host.status !== 'ACTIVE' || host.imageId !== imageId || host.waitingAgents === 0) continue
    const last = best.at(-1)
    if (best.length === limit && last !== undefined && !isFuller(host, last)) continue
    const place = best.findIndex((other) => isFuller(host, other))
    best.splice(place === -1 ? best.length : place, 0, host)
    if (best.length > limit) best.pop()
  }
  const ids: string[] = []
  for (const host of best) {
    for (const agent of host.agents) {
      if (agent.status === 'WAITING' && ids.push(agent.id) >= limit) return ids
    }
  }
  return ids
}

/** Whether a host is offered before another: fewest WAITING agents, then id. */
export function isFuller(host: HostView, other: HostView): boolean {
  if (host.waitingAgents !== other.waitingAgents) return host.waitingAgents < other.waitingAgents
  return host.id < other.id
}
