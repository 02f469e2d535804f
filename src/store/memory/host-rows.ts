import type { HostStatusBefore } from '../../model/host.ts'
import { hostTransitionIsLegal } from '../../model/host.ts'
import { agentsOf, deleteAgent, updateAgent } from './agent-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { differs, existing } from './memory-database.ts'
import { refusal } from './refusal.ts'
import type { HostRow } from './rows.ts'

export type NewHost = Omit<HostRow, 'statusSince' | 'createdAt' | 'updatedAt' | 'revision'>

/** @throws MusterError `database-refused` */
export function insertHost(db: MemoryDatabase, given: NewHost): void {
  const now = db.now()
  if (db.hosts.get(given.id) !== undefined) throw refusal('hosts_pkey')
  existing(db.regions, given.regionId)
  if (given.imageId !== null) existing(db.images, given.imageId)
  const host = { ...given, statusSince: now, createdAt: now, updatedAt: now, revision: 1 }
  check(db, host, undefined)
  db.hosts.put(host)
  db.noteChange('hosts', host.id, host.regionId)
}

/**
 * Whoever asks: only along the state machine, and what stops a host from serving fences its agents in the same
 * transaction. A heartbeat alone is no change. @throws MusterError `database-refused`
 */
export function updateHost(db: MemoryDatabase, was: HostRow, changes: Partial<HostRow>): HostRow {
  let row: HostRow = { ...was, ...changes, id: was.id, regionId: was.regionId }
  const isMoved = row.status !== was.status
  if (isMoved) {
    if (!hostTransitionIsLegal(was.status, row.status, was.statusBefore)) {
      throw refusal(`host ${was.id} may not go from ${was.status} to ${row.status}`)
    }
    const statusBefore = row.status === 'UNRESPONSIVE' ? (was.status as HostStatusBefore) : null
    row = { ...row, statusSince: db.now(), statusBefore }
  }
  const isNews = differs(was, { ...row, heartbeatAt: was.heartbeatAt })
  if (isNews) row = { ...row, revision: was.revision + 1, updatedAt: db.now() }
  check(db, row, was)
  db.hosts.put(row)
  if (isMoved) fence(db, row)
  if (isNews) db.noteChange('hosts', row.id, row.regionId)
  return row
}

/** With its agents. */
export function deleteHost(db: MemoryDatabase, host: HostRow): void {
  for (const agent of agentsOf(db, host.id)) deleteAgent(db, agent)
  db.hosts.delete(host.id)
  endBackend(db, host.id)
  db.noteChange('hosts', host.id, host.regionId)
}

/** The rows of a launch, in order of id. */
export function hostsOfLaunch(db: MemoryDatabase, launchId: string): readonly HostRow[] {
  return db.hosts.where((host) => host.launchId === launchId)
}

function fence(db: MemoryDatabase, host: HostRow): void {
  if (host.status === 'DRAINING' || host.status === 'TERMINATING') {
    for (const agent of agentsOf(db, host.id)) {
      if (agent.status === 'WAITING') updateAgent(db, agent, { status: 'DYING' })
    }
  } else if (host.status === 'TERMINATED') {
    for (const agent of agentsOf(db, host.id)) deleteAgent(db, agent)
    endBackend(db, host.id)
  }
}

/** A launched backend ends with its host. */
function endBackend(db: MemoryDatabase, hostId: string): void {
  const backend = db.backends.get(hostId)
  if (backend === undefined || backend.status === 'TERMINATED') return
  db.backends.put({ ...backend, status: 'TERMINATED', terminatedAt: db.now() })
}

function check(db: MemoryDatabase, host: HostRow, was: HostRow | undefined): void {
  if (host.capacity < 0) throw refusal('hosts_capacity_check')
  if (host.cloudId === null || host.cloudId === was?.cloudId) return
  const isSame = (other: HostRow): boolean =>
    other.cloudId === host.cloudId && other.provider === host.provider && other.id !== host.id
  if (db.hosts.values().some(isSame)) throw refusal('hosts_cloud_id')
}
