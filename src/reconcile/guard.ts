/**
 * The guard between an algorithm's plan and the database. A plan may come from an outside module, so it is taken for
 * untrusted JSON: whatever it holds, the guard gives well-formed decisions that keep the region's bounds, and a refusal
 * in words for all else. It never throws. `fleet.commit_turn` holds the bounds once more against the rows of its moment.
 */
import { countCapacity, launchObstacle } from '../model/capacity.ts'
import type { AlgorithmDecision, RefuseDecision } from '../model/decision.ts'
import { exchangedHosts, launchRoom } from '../model/leaving.ts'
import type { Rollout } from '../model/rollout.ts'
import { isServing } from '../model/serving.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import { findHosts } from './host-lookup.ts'
import { parsePlan } from './plan-parsing.ts'

interface Room {
  readonly snapshot: RegionSnapshot
  readonly hosts: ReadonlyMap<string, HostView>
  /** Hosts that this turn has decided already. */
  readonly decided: Set<string>
  /** A host and its stand-in, until the exchange is done. */
  readonly exchanged: ReadonlySet<string>
  /** The roll-out that keeps the image's hosts. */
  readonly keeper: Pick<Rollout, 'id' | 'state'> | undefined
  /** How many hosts may still be launched under maxHosts, and beside those that their provider takes. */
  launches: number
  /** How many serving hosts may still be taken away above minHosts. */
  removals: number
}

/**
 * `snapshot` is the projected one, of one image; `settled` are the hosts that upkeep and the sweep have decided in this turn.
 * `plan` is what the algorithm gave, whatever that is.
 */
export function guard(
  snapshot: RegionSnapshot,
  plan: unknown,
  settled: ReadonlySet<string> = new Set(),
  keeper?: Pick<Rollout, 'id' | 'state'>,
): readonly AlgorithmDecision[] {
  const decisions = parsePlan(plan)
  if (decisions.length === 0) return decisions
  const capacity = countCapacity(snapshot)
  const named = decisions.flatMap((decision) => ('hostId' in decision ? [decision.hostId] : []))
  const room: Room = {
    snapshot,
    hosts: findHosts(snapshot, new Set(named)),
    decided: new Set(settled),
    exchanged: exchangedHosts(snapshot),
    keeper,
    launches: launchRoom(snapshot),
    removals: capacity.serving - snapshot.region.minHosts,
  }
  return decisions.map((decision) => {
    if (decision.kind === 'refuse') return decision
    return decision.kind === 'launch' ? guardLaunch(decision, room) : guardRemoval(decision, room)
  })
}

type Launch = Extract<AlgorithmDecision, { kind: 'launch' }>
type Removal = Extract<AlgorithmDecision, { kind: 'drain' | 'terminate' }>

function guardLaunch(decision: Launch, room: Room): AlgorithmDecision {
  const { region, activeImage } = room.snapshot
  const no = (why: string): RefuseDecision => refusal(null, 'a launch', why, decision.reason)
  const obstacle = launchObstacle(room.snapshot)
  if (obstacle !== undefined) return no(obstacle)
  if (decision.imageId !== activeImage?.id) return no(`image ${decision.imageId} is not the ACTIVE one`)
  const count = Math.min(decision.count, room.launches)
  if (count <= 0) return no(`max_hosts is ${region.maxHosts}`)
  room.launches -= count
  if (count === decision.count) return decision
  return {
    ...decision,
    count,
    reason: `${decision.reason} (guard: ${count} of ${decision.count}, max_hosts is ${region.maxHosts})`,
  }
}

function guardRemoval(decision: Removal, room: Room): AlgorithmDecision {
  const { snapshot, hosts, decided } = room
  const host = hosts.get(decision.hostId)
  const no = (why: string): RefuseDecision =>
    refusal(decision.hostId, `to ${decision.kind} it`, why, decision.reason)
  if (host === undefined) return no(`${snapshot.region.id} has no such host`)
  if (decided.has(host.id)) return no('this turn has decided it already')
  if (!snapshot.region.enabled) return no('the region is not enabled, and its hosts are kept')
  if (host.status !== 'LAUNCHING' && host.status !== 'PRE_CONNECTION' && host.status !== 'ACTIVE') {
    return no(`it is ${host.status} already`)
  }
  if (host.status === 'LAUNCHING' && decision.kind === 'terminate') {
    return no('its launch has not ended; a drain would be carried out after it')
  }
  if (room.keeper !== undefined) return no(`roll-out ${room.keeper.id} (${room.keeper.state}) keeps it`)
  if (host.protected) return no('it is protected')
  if (room.exchanged.has(host.id)) {
    return no('its provider advised an exchange of machines, and that is not done')
  }
  if (host.liveAgents > 0) return no('it is busy')
  if (isServing(host, snapshot)) {
    if (room.removals <= 0) return no(`min_hosts is ${snapshot.region.minHosts}`)
    room.removals -= 1
  }
  decided.add(host.id)
  return decision
}

function refusal(target: string | null, what: string, why: string, wish: string): RefuseDecision {
  return { kind: 'refuse', target, reason: `guard: ${what} was refused: ${why} (wanted because: ${wish})` }
}
