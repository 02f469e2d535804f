/**
 * What becomes of hosts whose machine their provider advises to leave (docs/design/interruptions.md). Pure, on the
 * snapshot as upkeep leaves it: one host more for each, held back as any launch is, and as often as it takes; once it
 * is ACTIVE, the advised one takes no more users. Its sessions stay.
 */
import { launchObstacle } from '../model/capacity.ts'
import type { DrainDecision, RefuseDecision, ReplaceDecision, ReportDecision } from '../model/decision.ts'
import { isAdvised, leavingHosts, standInsOf } from '../model/leaving.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

const advice = 'its provider advises to leave its machine'

export type ExchangeDecision = ReplaceDecision | DrainDecision | RefuseDecision | ReportDecision

export function replacements(snapshot: RegionSnapshot): readonly ExchangeDecision[] {
  const advised = snapshot.hosts.filter((host) => isAdvised(host, snapshot))
  if (advised.length === 0) return []
  const standIns = standInsOf(snapshot)
  const obstacle = launchObstacle(snapshot)
  const hasRoom = roomKeeper(snapshot)
  return advised.flatMap((host): ExchangeDecision | readonly never[] => {
    const standIn = standIns.get(host.id)
    if (host.protected) return { kind: 'report', hostId: host.id, reason: `${advice}; it is protected` }
    if (standIn?.status === 'ACTIVE') return leave(host, standIn)
    if (standIn !== undefined) return []
    if (obstacle !== undefined) return refuse(host, obstacle)
    if (!hasRoom()) return refuse(host, `max_hosts ${snapshot.region.maxHosts} leaves no room for another`)
    return { kind: 'replace', hostId: host.id, reason: advice }
  })
}

/** Each host that is replaced is one more that stands, and one more that may be passed, up to maxSurgeHosts. */
function roomKeeper(snapshot: RegionSnapshot): () => boolean {
  const { maxHosts, maxSurgeHosts } = snapshot.region
  let hosts = snapshot.hosts.length
  let leaving = leavingHosts(snapshot)
  return () => {
    if (hosts + 1 > maxHosts + Math.min(maxSurgeHosts, leaving + 1)) return false
    hosts += 1
    leaving += 1
    return true
  }
}

function leave(host: HostView, standIn: HostView): DrainDecision {
  const reason = `${advice}, and its replacement ${standIn.id} is ACTIVE`
  return { kind: 'drain', hostId: host.id, reason, withSessions: true }
}

function refuse(host: HostView, why: string): RefuseDecision {
  return { kind: 'refuse', target: host.id, reason: `${advice}, but ${why}` }
}
