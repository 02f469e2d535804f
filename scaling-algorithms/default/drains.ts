import type { Capacity } from '../../src/model/capacity.ts'
import type { DrainDecision } from '../../src/model/decision.ts'
import { exchangedHosts } from '../../src/model/leaving.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'
import { neededAgents } from './needed.ts'
import type { DefaultOptions } from './options.ts'
import { firstInOrder } from './selection.ts'

/** The guard looks at no more than 1,000 decisions of a plan; the rest can wait for the next tick. */
const mostDrains = 400

/**
 * Which empty hosts may go; never one that is protected, or exchanged for another machine. Nothing goes while the region is
 * not enabled (its hosts are kept) or has no ACTIVE image (whose hosts would be kept is unknown). Hosts of other images are
 * the roll-outs' affair.
 */
export function planDrains(
  snapshot: RegionSnapshot,
  capacity: Capacity,
  options: DefaultOptions,
): readonly DrainDecision[] {
  const { region, activeImage } = snapshot
  if (!region.enabled || activeImage === undefined) return []
  const empty: HostView[] = []
  const exchanged = exchangedHosts(snapshot)
  let ready = 0
  for (const host of snapshot.hosts) {
    if (host.imageId !== activeImage.id) continue
    if (host.status === 'ACTIVE') ready += 1
    if (isEmpty(host, snapshot.now, options) && !exchanged.has(host.id)) empty.push(host)
  }
  return drainSpare(empty, snapshot, capacity, ready - region.minHosts)
}

/**
 * While a whole host more than the target is free. What is on its way is not counted,
 * neither for the target nor for `minHosts`: it may not arrive. A host without a seat left (its manager found them all
 * broken) gives nothing, and goes first.
 */
function drainSpare(
  hosts: readonly HostView[],
  snapshot: RegionSnapshot,
  capacity: Capacity,
  removable: number,
): readonly DrainDecision[] {
  const needed = neededAgents(snapshot, capacity)
  const drains: DrainDecision[] = []
  let { free } = capacity
  for (const host of firstInOrder(hosts, Math.min(mostDrains, removable), bySeats)) {
    const seats = seatsOf(host)
    // The next ones have no fewer.
    if (seats > 0 && free - seats < needed) break
    free -= host.waitingAgents
    const reason =
      seats === 0
        ? 'it is empty and none of its seats can be used'
        : `it is empty, and the ${needed} agents that are to be free are free without it`
    drains.push(drain(host, reason))
  }
  return drains
}

function isEmpty(host: HostView, now: number, options: DefaultOptions): boolean {
  if (host.status !== 'ACTIVE' || host.liveAgents > 0 || host.protected) return false
  if (options.idle_seconds === 0) return true
  // The seat of a session that ended is a new agent, so the youngest agent tells when the last session left.
  const emptySince = host.agents.reduce(
    (since, agent) => Math.max(since, agent.statusSince),
    host.statusSince,
  )
  return now - emptySince >= options.idle_seconds * 1000
}

function seatsOf(host: HostView): number {
  return Math.max(host.capacity, host.waitingAgents)
}

function bySeats(one: HostView, other: HostView): number {
  return seatsOf(one) - seatsOf(other) || byAge(one, other)
}

/** The oldest first: a fleet that breathes stays young. */
function byAge(one: HostView, other: HostView): number {
  return one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1)
}

function drain(host: HostView, reason: string): DrainDecision {
  return { kind: 'drain', hostId: host.id, reason }
}
