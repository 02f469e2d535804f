/**
 * Upkeep: finds the hosts and agents that are broken or done, for every region, whatever its algorithm
 * (docs/design/upkeep.md says why it is no algorithm's work). Pure, and a single pass.
 *
 *   LAUNCHING       past `launch`: said only, since the launch's outcome may be unknown and its action ends the row
 *   PRE_CONNECTION  past `connect`: terminate, and hold back the next launch
 *   any that talks  silent for `heartbeat`: suspect (UNRESPONSIVE)
 *   UNRESPONSIVE    one more `heartbeat` later: terminate; with sessions: after `drain` say it, or force it
 *   DRAINING        no session left and the rest stopped: terminate; sessions past `drain`: say it, or force it
 *   any             its provider ends the machine, and the time of its notice has come: terminate, whoever is on it
 *   agents          ALLOCATED or CONNECTING for `allocated`: end them
 *
 * Nobody can be heard by a daemon that is down or without its database, so what waits for a manager's word counts from
 * `heardAt` or `listeningSince`, never from a time before that: a user may have come to an agent while nobody was told.
 * Reasons bear no clock: what is unchanged reads the same in every turn.
 */
import type { Agent } from '../model/agent.ts'
import type { UpkeepDecision } from '../model/decision.ts'
import type { Deadlines } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

export interface Upkeep {
  readonly decisions: readonly UpkeepDecision[]
  /** Milliseconds since the epoch: the earliest moment after `now` at which the same rows decide something new. */
  readonly nextDeadline: number | undefined
}

/** Whether a moment has come; one that has not is remembered as a candidate for the next deadline. */
type IsDue = (at: number) => boolean

/** A manager that drains stops its idle agents at once; one that is dead leaves them DYING for ever. */
const stoppingMs = 10_000

export function upkeep(snapshot: RegionSnapshot): Upkeep {
  const { now } = snapshot
  const { deadlines } = snapshot.region
  const decisions: UpkeepDecision[] = []
  let next = Infinity
  const isDue: IsDue = (at) => {
    if (at <= now) return true
    if (at < next) next = at
    return false
  }

  for (const host of snapshot.hosts) {
    const decision = judgeHost(host, deadlines, isDue)
    if (decision !== undefined) decisions.push(decision)
    // What ends the host ends its agents.
    if (host.status === 'TERMINATING' || host.liveAgents === 0 || decision?.kind === 'terminate') continue
    for (const agent of host.agents) {
      const since = Math.max(agent.statusSince, snapshot.listeningSince)
      if (!isUnclaimed(agent) || !isDue(since + deadlines.allocated * 1000)) continue
      decisions.push({
        kind: 'end-agent',
        agentId: agent.id,
        hostId: host.id,
        reason: `its user did not come: ${agent.status} for ${deadlines.allocated} s`,
        // It had taken its session: more likely it never ran than that nobody came.
        ...(agent.status === 'CONNECTING' ? { failure: 'never-ran' } : {}),
      })
    }
  }
  if (snapshot.launchBlockedUntil !== undefined) isDue(snapshot.launchBlockedUntil)
  return { decisions, nextDeadline: next === Infinity ? undefined : next }
}

function isUnclaimed(agent: Agent): boolean {
  return agent.status === 'ALLOCATED' || agent.status === 'CONNECTING'
}

/** The order of the tests is their precedence: what ends a host comes before what suspects or reports it. */
function judgeHost(host: HostView, deadlines: Deadlines, isDue: IsDue): UpkeepDecision | undefined {
  if (host.interruptionAt !== null && host.status !== 'TERMINATING' && isDue(host.interruptionAt)) {
    const reason = 'its provider ends the machine now, as it gave notice'
    return { kind: 'terminate', hostId: host.id, reason, involuntary: true }
  }
  switch (host.status) {
    case 'LAUNCHING':
      if (!isDue(host.statusSince + deadlines.launch * 1000)) return undefined
      return report(host, `its launch has no answer after ${deadlines.launch} s`)
    case 'PRE_CONNECTION':
      return judgeUnconnected(host, deadlines, isDue)
    case 'ACTIVE':
      return judgeSilence(host, deadlines, isDue)
    case 'DRAINING':
      return judgeDraining(host, deadlines, isDue)
    case 'UNRESPONSIVE':
      return judgeUnresponsive(host, deadlines, isDue)
    default:
      return undefined
  }
}

function judgeUnconnected(host: HostView, deadlines: Deadlines, isDue: IsDue): UpkeepDecision | undefined {
  const since = host.heartbeatAt === null ? Math.max(host.statusSince, host.heardAt) : host.statusSince
  if (isDue(since + deadlines.connect * 1000)) {
    const reason = `its manager did not connect within ${deadlines.connect} s`
    if (host.protected) return report(host, `${reason}; it is protected`)
    // Somebody wrote these rows by hand: a session is never ended for a launch's sake.
    if (host.liveAgents > 0) return report(host, `${reason}, but it has sessions`)
    return { kind: 'terminate', hostId: host.id, reason, launchFailed: 'never-connected' }
  }
  return judgeSilence(host, deadlines, isDue)
}

/** A host that never connected has no silence. */
function judgeSilence(host: HostView, deadlines: Deadlines, isDue: IsDue): UpkeepDecision | undefined {
  if (host.heartbeatAt === null && host.status !== 'ACTIVE') return undefined
  if (!isDue(host.heardAt + deadlines.heartbeat * 1000)) return undefined
  return { kind: 'suspect', hostId: host.id, reason: `no word from its manager for ${deadlines.heartbeat} s` }
}

function judgeDraining(host: HostView, deadlines: Deadlines, isDue: IsDue): UpkeepDecision | undefined {
  const why = host.reason === null ? 'drained' : `drained (${host.reason})`
  if (host.cloudId === null && host.launchId !== null) {
    // There is no machine to terminate yet; the launch binds one to the row, or ends the row.
    if (!isDue(host.statusSince + deadlines.launch * 1000)) return undefined
    return report(host, `${why}, but its launch has no answer after ${deadlines.launch} s`)
  }
  if (host.liveAgents === 0) {
    if (isDue(lastStopAt(host))) return terminate(host, `${why}; no session is left`)
    return judgeSilence(host, deadlines, isDue)
  }
  const deadline = host.statusSince + deadlines.drain * 1000
  if (deadlines.force_drain && isDue(deadline)) {
    return terminate(host, `${why}; its sessions outlasted ${deadlines.drain} s and are ended by force_drain`)
  }
  const silence = judgeSilence(host, deadlines, isDue)
  if (silence !== undefined || deadlines.force_drain || !isDue(deadline)) return silence
  return report(host, `${why}; sessions are still live after ${deadlines.drain} s`)
}

/** When the host's manager has stopped what is left of it, or had its time to. */
function lastStopAt(host: HostView): number {
  let at = -Infinity
  for (const agent of host.agents) {
    // The fence left no WAITING agent: the mirror is behind, and tells when it has caught up.
    at = Math.max(at, agent.status === 'DYING' ? agent.statusSince + stoppingMs : Infinity)
  }
  return at
}

function judgeUnresponsive(host: HostView, deadlines: Deadlines, isDue: IsDue): UpkeepDecision | undefined {
  const since = Math.max(host.statusSince, host.heardAt)
  const mayEnd = !host.protected || host.statusBefore === 'DRAINING'
  if (host.liveAgents === 0) {
    if (!isDue(since + deadlines.heartbeat * 1000)) return undefined
    const reason = `its manager stayed silent for another ${deadlines.heartbeat} s; no session is left`
    return mayEnd ? terminate(host, reason) : report(host, `${reason}; it is protected`)
  }
  if (!isDue(since + deadlines.drain * 1000)) return undefined
  const reason = `its manager stayed silent for another ${deadlines.drain} s with sessions on it`
  if (deadlines.force_drain && mayEnd) return terminate(host, `${reason}; they are ended by force_drain`)
  return report(host, host.protected ? `${reason}; it is protected` : reason)
}

function terminate(host: HostView, reason: string): UpkeepDecision {
  return { kind: 'terminate', hostId: host.id, reason }
}

function report(host: HostView, reason: string): UpkeepDecision {
  return { kind: 'report', hostId: host.id, reason }
}
