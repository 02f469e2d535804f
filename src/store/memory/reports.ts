/** What managers cause: the functions of migration `functions` for hosts and their agents. */
import { agentStatuses } from '../../model/agent.ts'
import { MusterError } from '../../model/errors.ts'
import type { InterruptionNotice } from '../../model/interruption.ts'
import type { AgentReport, FleetStore } from '../fleet-store.ts'
import { agentsOf, deleteAgent, insertAgent, updateAgent } from './agent-rows.ts'
import { updateHost } from './host-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { updateRegion } from './region-rows.ts'
import { refusal } from './refusal.ts'
import type { AgentRow, HostRow } from './rows.ts'

type HostWrites = Pick<FleetStore, 'registerHost' | 'reportAgents' | 'reportInterruption' | 'flushHeartbeats'>

export function createHostWrites(db: MemoryDatabase): HostWrites {
  return {
    registerHost: (hostId, address, capacity, fence) =>
      db.transact(() => {
        db.demandLease(fence)
        const host = db.hosts.get(hostId)
        if (host === undefined || host.status === 'TERMINATED') return undefined
        return registerHost(db, host, address, capacity)
      }),
    reportAgents: async (hostId, reports, isFull, fence) => {
      try {
        return await db.transact(() => {
          db.demandLease(fence)
          const host = db.hosts.get(hostId)
          if (host === undefined) throw refusal(`no host ${hostId}`)
          reportAgents(db, host, reports, isFull)
          return agentsOf(db, hostId)
        })
      } catch (error) {
        if (error instanceof MusterError && error.code === 'database-refused') return undefined
        throw error
      }
    },
    reportInterruption: (hostId, notice, fence) =>
      db.transact(() => {
        db.demandLease(fence)
        const host = db.hosts.get(hostId)
        if (host === undefined || host.status === 'TERMINATED') return undefined
        return notice.kind === 'rebalance'
          ? updateHost(db, host, { rebalanceAdvisedAt: host.rebalanceAdvisedAt ?? notice.at })
          : interrupt(db, host, notice)
      }),
    flushHeartbeats: (beats, fence) =>
      db.transact(() => {
        if (!db.leaseIsHeld(fence)) return
        for (const [hostId, heartbeatAt] of beats) {
          const host = db.hosts.get(hostId)
          if (host === undefined || host.status === 'TERMINATED') continue
          if (host.heartbeatAt === null || host.heartbeatAt < heartbeatAt)
            updateHost(db, host, { heartbeatAt })
        }
      }),
  }
}

function registerHost(db: MemoryDatabase, was: HostRow, address: string, capacity: number): HostRow {
  const isReset = (db.regions.get(was.regionId)?.launchFailures ?? 0) > 0
  const status = was.status === 'UNRESPONSIVE' ? (was.statusBefore ?? was.status) : was.status
  let host = updateHost(db, was, { heartbeatAt: db.now(), address, capacity, status })
  if (host.status === 'PRE_CONNECTION') host = updateHost(db, host, { status: 'ACTIVE' })
  if (isReset) {
    updateRegion(db, was.regionId, {
      launchFailures: 0,
      launchBlockedUntil: null,
      launchErrorCode: null,
      launchError: null,
    })
  }
  return host
}

/** Fenced at once, whatever it was; the earliest time that was ever told counts. */
function interrupt(db: MemoryDatabase, was: HostRow, { at, action }: InterruptionNotice): HostRow {
  const host = updateHost(db, was, { interruptionAt: Math.min(was.interruptionAt ?? Infinity, at) })
  if (host.status === 'DRAINING' || host.status === 'TERMINATING') return host
  const moment = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
  const how = action === '' ? '' : ` (${action})`
  const reason = `its provider ends the machine at ${moment}${how}`
  return updateHost(db, host, {
    status: 'DRAINING',
    reason: host.statusBefore === 'DRAINING' ? host.reason : reason,
  })
}

function reportAgents(
  db: MemoryDatabase,
  host: HostRow,
  reports: readonly AgentReport[],
  isFull: boolean,
): void {
  const gone = new Set(reports.filter((report) => report.gone === true).map(({ id }) => id))
  const there = new Map(reports.filter((report) => report.gone !== true).map((report) => [report.id, report]))
  for (const { id, status, failure, gone: isGone } of reports) {
    const agent = db.agents.get(id)
    if (failure === undefined || agent?.hostId !== host.id || agent.failure !== null) continue
    const isBehind = agentStatuses.indexOf(status) <= agentStatuses.indexOf(agent.status)
    if (isGone === true || !isBehind) updateAgent(db, agent, { failure: failure.slice(0, 1000) })
  }
  for (const agent of agentsOf(db, host.id)) {
    if (gone.has(agent.id) || (isFull && !there.has(agent.id))) deleteAgent(db, agent)
  }
  for (const { id, status } of reports) {
    const agent = db.agents.get(id)
    if (agent?.hostId === host.id && advances(agent, status)) updateAgent(db, agent, { status })
  }
  if (host.status !== 'PRE_CONNECTION' && host.status !== 'ACTIVE') return
  for (const { id, status, port, app } of there.values()) {
    if (status !== 'WAITING' || db.agents.get(id) !== undefined) continue
    insertAgent(db, {
      id,
      hostId: host.id,
      regionId: host.regionId,
      app: app ?? 'default',
      status,
      userId: null,
      userSlot: null,
      sessionId: null,
      port: port ?? null,
    })
  }
}

/** A manager's word moves an agent forward, and one that serves nobody only to its end. */
function advances(agent: AgentRow, status: AgentReport['status']): boolean {
  if (status === 'WAITING' || status === 'ALLOCATED') return false
  if (agentStatuses.indexOf(status) <= agentStatuses.indexOf(agent.status)) return false
  return status === 'DYING' || agent.status !== 'WAITING'
}
