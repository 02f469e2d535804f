/**
 * The snapshot as it will be once upkeep's decisions are stored, so that an algorithm replaces a broken host in the
 * very turn that finds it. It mirrors what `fleet.commit_turn` and the database's fence will do to the rows.
 */
import type { Agent } from '../model/agent.ts'
import { isLive } from '../model/agent.ts'
import type { Decision, LaunchDecision, RolloutDecision } from '../model/decision.ts'
import type { HostStatus, HostStatusBefore } from '../model/host.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

/** What can be foreseen of a host's row; an algorithm's launches come after it. */
type Foreseen = Exclude<Decision, LaunchDecision | RolloutDecision>

/** Gives the same object when nothing would change. */
export function project(snapshot: RegionSnapshot, decisions: readonly Foreseen[]): RegionSnapshot {
  const becomes = new Map<string, HostStatus>()
  const endedAgents = new Set<string>()
  const touched = new Set<string>()
  const standIns: HostView[] = []
  let failure: { code: string; reason: string } | undefined
  for (const decision of decisions) {
    if (decision.kind === 'replace') {
      standIns.push(standInFor(decision.hostId, snapshot))
    } else if (decision.kind === 'end-agent') {
      endedAgents.add(decision.agentId)
      touched.add(decision.hostId)
    } else if (decision.kind !== 'refuse' && decision.kind !== 'report' && decision.kind !== 'clear-orphan') {
      becomes.set(decision.hostId, statusAfter(decision.kind))
      touched.add(decision.hostId)
    }
    if (decision.kind === 'terminate' && decision.launchFailed !== undefined) {
      failure = { code: decision.launchFailed, reason: decision.reason }
    }
  }
  if (touched.size === 0 && standIns.length === 0) return snapshot
  const { now } = snapshot
  const known = snapshot.hosts.map((host) =>
    touched.has(host.id) ? projectHost(host, becomes.get(host.id), endedAgents, now) : host,
  )
  const hosts = standIns.length === 0 ? known : [...known, ...standIns].sort(byId)
  return failure === undefined ? { ...snapshot, hosts } : blockLaunches({ ...snapshot, hosts }, failure)
}

function statusAfter(kind: 'terminate' | 'host-gone' | 'drain' | 'suspect'): HostStatus {
  if (kind === 'drain') return 'DRAINING'
  return kind === 'suspect' ? 'UNRESPONSIVE' : 'TERMINATING'
}

/** Its row gets another id when the turn is stored. */
function standInFor(hostId: string, { region, activeImage, now }: RegionSnapshot): HostView {
  return {
    id: `stand-in of ${hostId}`,
    regionId: region.id,
    provider: region.provider,
    cloudId: null,
    launchId: null,
    imageId: activeImage?.id ?? null,
    version: activeImage?.version ?? '',
    instanceType: region.instanceTypes[0] ?? '',
    zone: '',
    lifecycle: 'on-demand',
    address: null,
    capacity: region.agentsPerHost,
    status: 'LAUNCHING',
    statusBefore: null,
    statusSince: now,
    protected: false,
    reason: null,
    heartbeatAt: null,
    interruptionAt: null,
    rebalanceAdvisedAt: null,
    replaces: hostId,
    notifySessions: false,
    createdAt: now,
    revision: 0,
    agents: [],
    waitingAgents: 0,
    liveAgents: 0,
    heardAt: now,
  }
}

function byId(one: HostView, other: HostView): number {
  return one.id < other.id ? -1 : 1
}

function projectHost(
  host: HostView,
  status: HostStatus | undefined,
  endedAgents: ReadonlySet<string>,
  now: number,
): HostView {
  const stopsServing = status === 'DRAINING' || status === 'TERMINATING'
  const agents = host.agents.map((agent): Agent => {
    const dies = endedAgents.has(agent.id) || (stopsServing && agent.status === 'WAITING')
    return dies && agent.status !== 'DYING' ? { ...agent, status: 'DYING', statusSince: now } : agent
  })
  const counted = {
    ...host,
    agents,
    waitingAgents: agents.filter((agent) => agent.status === 'WAITING').length,
    liveAgents: agents.filter(isLive).length,
  }
  if (status === undefined || status === host.status) return counted
  const statusBefore = status === 'UNRESPONSIVE' ? (host.status as HostStatusBefore) : null
  return { ...counted, status, statusBefore, statusSince: now }
}

/** As `fleet.block_launches` will: 1 s, doubling to 5 min, with the number of failures. */
function blockLaunches(
  snapshot: RegionSnapshot,
  failure: { readonly code: string; readonly reason: string },
): RegionSnapshot {
  const { region, now } = snapshot
  const launchBlockedUntil = now + Math.min(300, 2 ** Math.min(region.launchFailures, 20)) * 1000
  return {
    ...snapshot,
    launchBlockedUntil,
    region: {
      ...region,
      launchFailures: region.launchFailures + 1,
      launchBlockedUntil,
      launchErrorCode: failure.code,
      launchError: failure.reason,
    },
  }
}
