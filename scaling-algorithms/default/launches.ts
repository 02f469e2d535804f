import type { Capacity } from '../../src/model/capacity.ts'
import { launchObstacle } from '../../src/model/capacity.ts'
import type { AlgorithmDecision } from '../../src/model/decision.ts'
import { launchRoom } from '../../src/model/leaving.ts'
import type { RegionSnapshot } from '../../src/model/snapshot.ts'
import { neededAgents } from './needed.ts'

/**
 * Launch what the buffer and `minHosts` lack, or say why not. Hosts on their way count, so a turn that repeats before
 * they are there launches nothing. A refusal bears neither a time nor the figures of the moment, so what is refused
 * again reads the same: in a full region every assign would otherwise leave a row.
 */
export function planLaunches(snapshot: RegionSnapshot, capacity: Capacity): readonly AlgorithmDecision[] {
  const { region, activeImage } = snapshot
  const wanted = wantedHosts(snapshot, capacity)
  if (wanted.count === 0) return []
  const obstacle = launchObstacle(snapshot)
  if (obstacle !== undefined || activeImage === undefined) {
    return [refuse(`${wanted.what}, but ${obstacle ?? 'no image is ACTIVE'}`)]
  }

  const count = Math.min(wanted.count, launchRoom(snapshot))
  const decisions: AlgorithmDecision[] = []
  if (count > 0) decisions.push({ kind: 'launch', count, imageId: activeImage.id, reason: wanted.reason })
  if (count < wanted.count) {
    const allowed = count === 0 ? 'none' : `only ${count}`
    decisions.push(refuse(`${wanted.what}, but max_hosts ${region.maxHosts} allows ${allowed}`))
  }
  return decisions
}

/** A host that is launched for the buffer counts for `minHosts` too. */
function wantedHosts(
  snapshot: RegionSnapshot,
  capacity: Capacity,
): { readonly count: number; readonly reason: string; readonly what: string } {
  const { region, waitingUsers } = snapshot
  const { free, coming, displaced, serving } = capacity
  const needed = neededAgents(snapshot, capacity)
  const shortfall = needed - free - coming
  const forBuffer = Math.max(0, Math.ceil(shortfall / region.agentsPerHost))
  const forMinimum = Math.max(0, region.minHosts - serving)
  if (forMinimum > forBuffer) {
    const reason =
      `${numbered(region.minHosts, 'host is', 'hosts are')} to serve at least, ${serving} ${isOrAre(serving)}: ` +
      hostsOf(forMinimum, region.agentsPerHost)
    return { count: forMinimum, reason, what: `min_hosts ${region.minHosts} lacks hosts` }
  }
  const whom = [
    ...(waitingUsers === 0 ? [] : [`${waitingUsers} of them for users who wait`]),
    ...(displaced === 0 ? [] : [`${displaced} for users whose machine its provider ends`]),
  ]
  const queue = whom.length === 0 ? '' : ` (${whom.join(', ')})`
  const reason =
    `${numbered(needed, 'agent is', 'agents are')} to be free${queue}, ` +
    `${free} ${isOrAre(free)} and ${coming} ${isOrAre(coming)} coming: ` +
    hostsOf(forBuffer, region.agentsPerHost)
  const what = `the buffer of ${numbered(region.targetFreeAgents, 'free agent', 'free agents')} lacks hosts`
  return { count: forBuffer, reason, what }
}

function refuse(reason: string): AlgorithmDecision {
  return { kind: 'refuse', target: null, reason }
}

function hostsOf(hosts: number, agents: number): string {
  return `${numbered(hosts, 'host', 'hosts')} of ${numbered(agents, 'agent', 'agents')}`
}

function numbered(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}

function isOrAre(number: number): string {
  return number === 1 ? 'is' : 'are'
}
