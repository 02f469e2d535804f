import { agentStatuses, isLive } from '../../model/agent.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { refusal } from './refusal.ts'
import type { AgentRow, AssignmentRow } from './rows.ts'

/** In order of id. */
export function agentsOf(db: MemoryDatabase, hostId: string): readonly AgentRow[] {
  return db.agents.where((agent) => agent.hostId === hostId)
}

/** Only while its host takes agents. @throws MusterError `database-refused` */
export function insertAgent(
  db: MemoryDatabase,
  given: Omit<AgentRow, 'statusSince' | 'failure' | 'revision'>,
): void {
  const host = db.hosts.get(given.hostId)
  if (host?.status !== 'PRE_CONNECTION' && host?.status !== 'ACTIVE') {
    throw refusal(
      `agent ${given.id}: host ${given.hostId} takes no agents (${host?.status ?? 'no such host'})`,
    )
  }
  if (host.regionId !== given.regionId)
    throw refusal(`agent ${given.id}: host ${host.id} is in another region`)
  if (db.agents.get(given.id) !== undefined) throw refusal('agents_pkey')
  const agent = { ...given, statusSince: db.now(), failure: null, revision: 1 }
  check(db, agent, undefined)
  db.agents.put(agent)
  db.noteChange('agents', agent.id, agent.regionId)
}

/** Statuses only move forward; the session's assignment learns of it. @throws MusterError `database-refused` */
export function updateAgent(db: MemoryDatabase, was: AgentRow, changes: Partial<AgentRow>): AgentRow {
  const status = changes.status ?? was.status
  if (agentStatuses.indexOf(status) < agentStatuses.indexOf(was.status)) {
    throw refusal(`agent ${was.id} may not go from ${was.status} to ${status}`)
  }
  const statusSince = status === was.status ? was.statusSince : db.now()
  const row = { ...was, ...changes, statusSince, revision: was.revision + 1 }
  check(db, row, was)
  db.agents.put(row)
  if (status === 'DYING' && was.status !== 'DYING') noteSessionEnd(db, was, row.failure)
  else if (status === 'RUNNING' && was.status !== 'RUNNING') noteSessionStart(db, was)
  db.noteChange('agents', row.id, row.regionId)
  return row
}

export function deleteAgent(db: MemoryDatabase, agent: AgentRow): void {
  db.agents.delete(agent.id)
  noteSessionEnd(db, agent, agent.failure ?? (isLostWithHost(db, agent) ? 'host-lost' : null))
  db.noteChange('agents', agent.id, agent.regionId)
}

function noteSessionStart(db: MemoryDatabase, agent: AgentRow): void {
  for (const row of assignmentsOf(db, agent)) {
    db.assignments.put({ ...row, runningAt: row.runningAt ?? db.now() })
  }
}

function noteSessionEnd(db: MemoryDatabase, agent: AgentRow, failure: string | null): void {
  for (const row of assignmentsOf(db, agent)) {
    if (row.endedAt !== null && (row.failure !== null || failure === null)) continue
    db.assignments.put({ ...row, endedAt: row.endedAt ?? db.now(), failure: row.failure ?? failure })
  }
}

/** And not because its provider took the machine. */
function isLostWithHost(db: MemoryDatabase, agent: AgentRow): boolean {
  const host = db.hosts.get(agent.hostId)
  return isLive(agent) && host?.status === 'TERMINATED' && host.interruptionAt === null
}

function assignmentsOf(db: MemoryDatabase, agent: AgentRow): readonly AssignmentRow[] {
  if (agent.sessionId === null) return []
  return db.assignments.where((row) => row.agentId === agent.id && row.sessionId === agent.sessionId)
}

function check(db: MemoryDatabase, agent: AgentRow, was: AgentRow | undefined): void {
  const { id, userId, userSlot, sessionId, regionId } = agent
  if (was !== undefined && was.userId !== null && (userId !== was.userId || sessionId !== was.sessionId)) {
    throw refusal(`agent ${id}: its user and session never change`)
  }
  if (agent.port !== null && (agent.port < 1 || agent.port > 65_535)) throw refusal('agents_port_check')
  if (agent.status === 'WAITING' && (userId ?? userSlot ?? sessionId) !== null) {
    throw refusal('agents_waiting_has_no_user')
  }
  // What was live already stands in the indexes as it was.
  if (!isLive(agent) || (was !== undefined && isLive(was))) return
  if (userId === null || userSlot === null || sessionId === null) throw refusal('agents_live_has_user')
  const most = db.regions.get(regionId)?.maxAgentsPerUser ?? 0
  if (userSlot > most) throw refusal(`user ${userId} may hold ${most} agents in region ${regionId}`)
  for (const other of db.agents.values()) {
    if (other.id === id || other.userId !== userId || !isLive(other)) continue
    if (other.sessionId === sessionId) throw refusal('agents_user_session')
    if (other.regionId === regionId && other.userSlot === userSlot) throw refusal('agents_user_slot')
  }
}
