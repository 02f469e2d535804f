/** Claims and sessions: what users cause. */
import type { Agent } from '../../model/agent.ts'
import { isLive } from '../../model/agent.ts'
import type { Assignment } from '../../model/assignment.ts'
import type { ClaimRequest, FleetStore, Miss } from '../fleet-store.ts'
import { updateAgent } from './agent-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import type { AgentRow, AssignmentRow } from './rows.ts'

type SessionWrites = Pick<
  FleetStore,
  'claimAgent' | 'giveUpAgent' | 'recordMiss' | 'readSessions' | 'releaseSession'
>

export function createSessionWrites(db: MemoryDatabase): SessionWrites {
  return {
    claimAgent: (regionId, fence, request) => db.transact(() => claimAgent(db, regionId, fence, request)),
    giveUpAgent: (assignmentId, agentId, _, failure) =>
      db.transact(() => {
        const assignment = db.assignments.get(assignmentId)
        const agent = db.agents.get(agentId)
        if (assignment?.agentId !== agentId) return
        const isItsSession = agent?.sessionId === assignment.sessionId
        if (isItsSession && (agent.status === 'ALLOCATED' || agent.status === 'CONNECTING')) {
          updateAgent(db, agent, { status: 'DYING' })
        }
        const row = db.assignments.get(assignmentId)
        if (row?.outcome !== 'assigned') return
        db.assignments.put({
          ...row,
          outcome: 'given-up',
          endedAt: row.endedAt ?? db.now(),
          failure: row.failure ?? failure,
        })
      }),
    recordMiss: (miss) => db.transact(() => recordMiss(db, miss)),
    readSessions: (userId) =>
      db.transact(() =>
        db.agents
          .where((agent) => agent.userId === userId && isLive(agent))
          .map((agent) => ({
            sessionId: agent.sessionId ?? '',
            agentId: agent.id,
            hostId: agent.hostId,
            regionId: agent.regionId,
            address: db.hosts.get(agent.hostId)?.address ?? null,
            port: agent.port,
            status: agent.status,
            endsAt: db.hosts.get(agent.hostId)?.interruptionAt ?? null,
          })),
      ),
    releaseSession: (userId, sessionId) =>
      db.transact(() =>
        db.agents
          .where((agent) => agent.userId === userId && agent.sessionId === sessionId && isLive(agent))
          .map((agent): Agent => updateAgent(db, agent, { status: 'DYING' })),
      ),
  }
}

/** As `fleet.claim_agent`. */
function claimAgent(db: MemoryDatabase, regionId: string, fence: number, request: ClaimRequest): Assignment {
  const known = assignmentOf(db, request)
  if (known?.outcome === 'assigned') return known
  const answer: AssignmentRow = {
    ...(known ?? noAssignment(db)),
    userId: request.userId,
    idempotencyKey: request.idempotencyKey,
    regionId,
    demandRegionId: request.demandRegionId,
    version: request.version,
    imageId: request.imageId,
    requestedAt: request.requestedAt,
    ...((known?.arm ?? 'fallback') !== 'fallback' && known?.failure != null
      ? {}
      : { rolloutId: request.rolloutId, arm: request.arm, failure: null }),
  }
  if (!db.leaseIsHeld(fence)) return { ...answer, outcome: 'not-active' }
  const region = db.regions.get(regionId)
  if (region?.enabled !== true) return { ...answer, outcome: 'region-not-enabled' }
  const slot = freeSlot(db, regionId, request.userId, region.maxAgentsPerUser)
  if (slot === undefined) return { ...answer, outcome: 'user-already-active' }
  const agent = freeAgent(db, regionId, request)
  if (agent === undefined) return { ...answer, outcome: 'no-capacity' }
  const { userId, sessionId } = request
  updateAgent(db, agent, { status: 'ALLOCATED', userId, userSlot: slot, sessionId })
  const assigned: AssignmentRow = {
    ...answer,
    outcome: 'assigned',
    hostId: agent.hostId,
    agentId: agent.id,
    address: db.hosts.get(agent.hostId)?.address ?? null,
    port: agent.port,
    sessionId,
    assignedAt: db.now(),
    runningAt: null,
    endedAt: null,
  }
  db.assignments.put(known === undefined ? assigned : { ...assigned, requestedAt: known.requestedAt })
  return assigned
}

function freeSlot(db: MemoryDatabase, regionId: string, userId: string, most: number): number | undefined {
  const taken = new Set<number | null>()
  for (const agent of db.agents.values()) {
    if (agent.userId === userId && agent.regionId === regionId && isLive(agent)) taken.add(agent.userSlot)
  }
  for (let slot = 1; slot <= most; slot += 1) if (!taken.has(slot)) return slot
  return undefined
}

/** The first candidate that is still free, else the first free agent of a host that is not excluded. */
function freeAgent(db: MemoryDatabase, regionId: string, request: ClaimRequest): AgentRow | undefined {
  const isFree = (agent: AgentRow | undefined): agent is AgentRow => {
    if (agent?.status !== 'WAITING' || agent.regionId !== regionId) return false
    const host = db.hosts.get(agent.hostId)
    return host?.status === 'ACTIVE' && host.imageId === request.imageId
  }
  const candidate = request.candidates.map((id) => db.agents.get(id)).find(isFree)
  if (candidate !== undefined) return candidate
  return db.agents.where((agent) => isFree(agent) && !request.excludedHosts.includes(agent.hostId))[0]
}

function recordMiss(db: MemoryDatabase, miss: Miss): void {
  const { regionId, version, outcome } = miss
  const known = assignmentOf(db, miss)
  if (known?.outcome === 'assigned') return
  const row = known ?? { ...noAssignment(db), ...miss }
  db.assignments.put({ ...row, outcome, regionId, demandRegionId: regionId, version })
}

/** A request without a key is known by nobody. */
function assignmentOf(
  db: MemoryDatabase,
  { userId, idempotencyKey }: Pick<ClaimRequest, 'userId' | 'idempotencyKey'>,
): AssignmentRow | undefined {
  if (idempotencyKey === null) return undefined
  return db.assignments.values().find((row) => row.userId === userId && row.idempotencyKey === idempotencyKey)
}

function noAssignment(db: MemoryDatabase): AssignmentRow {
  return {
    id: db.newId(),
    userId: '',
    idempotencyKey: null,
    regionId: null,
    demandRegionId: null,
    version: null,
    imageId: null,
    hostId: null,
    agentId: null,
    address: null,
    port: null,
    sessionId: null,
    outcome: 'no-capacity',
    requestedAt: db.now(),
    assignedAt: null,
    runningAt: null,
    endedAt: null,
    rolloutId: null,
    arm: null,
    failure: null,
  }
}
