import type { FleetStore } from '../fleet-store.ts'
import { createActionWrites, isOpen } from './actions.ts'
import { createCallWrites } from './calls.ts'
import { createSessionWrites } from './claims.ts'
import { commitTurn } from './commit-turn.ts'
import { deleteHost } from './host-rows.ts'
import { bindLaunch, drainHost, endHost, finishLaunch } from './launches.ts'
import { releaseLease, takeLease } from './leases.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { createReads } from './reads.ts'
import { createHostWrites } from './reports.ts'
import { createRolloutStore } from './rollouts.ts'
import { createSweepStore } from './sweep.ts'

const hourMs = 3_600_000

/** The FleetStore over tables in memory: for simulations, and to say in one place what the real one's functions do. */
export function createMemoryStore(db: MemoryDatabase): FleetStore {
  return {
    ...createReads(db),
    ...createActionWrites(db),
    ...createCallWrites(db),
    ...createSessionWrites(db),
    ...createHostWrites(db),
    ...createRolloutStore(db),
    ...createSweepStore(db),
    takeLease: (holder, seconds) => db.transact(() => takeLease(db, holder, seconds)),
    releaseLease: (holder, fence) => db.transact(() => releaseLease(db, holder, fence)),
    commitTurn: (regionId, turn, fence, plan) =>
      db.transact(() => commitTurn(db, { regionId, turn, fence, plan })),
    finishLaunch: (actionId, fence, outcome) => db.transact(() => finishLaunch(db, actionId, fence, outcome)),
    bindLaunch: (launchId, cloudIds) => db.transact(() => bindLaunch(db, launchId, cloudIds)),
    endHost: (hostId, fence, reason) => db.transact(() => endHost(db, hostId, fence, reason)),
    drainHost: (hostId, reason) => db.transact(() => drainHost(db, hostId, reason)),
    prune: (days, fence) => db.transact(() => prune(db, days, fence)),
  }
}

function prune(db: MemoryDatabase, days: number, fence: number): void {
  if (!db.leaseIsHeld(fence)) return
  const now = db.now()
  const horizon = now - days * 24 * hourMs
  db.forgetChanges(now - hourMs)
  for (const host of db.hosts.where((row) => row.status === 'TERMINATED' && row.updatedAt < horizon)) {
    deleteHost(db, host)
  }
  for (const action of db.actions.where((row) => !isOpen(row) && row.createdAt < horizon)) {
    db.actions.delete(action.id)
    for (const line of db.actionLogs.where((row) => row.actionId === action.id)) db.actionLogs.delete(line.id)
  }
  const explained = new Set(db.actions.values().map((action) => action.decisionId))
  for (const row of db.decisions.where(({ id, updatedAt }) => updatedAt < horizon && !explained.has(id))) {
    db.decisions.delete(row.id)
  }
  for (const row of db.assignments.where(({ requestedAt }) => requestedAt < horizon)) {
    if (row.endedAt !== null || row.outcome !== 'assigned') db.assignments.delete(row.id)
  }
  for (const row of db.backends.where(
    ({ terminatedAt }) => terminatedAt !== null && terminatedAt < horizon,
  )) {
    db.backends.delete(row.id)
  }
  for (const token of db.tokens.where(({ expiresAt }) => expiresAt < now - hourMs)) db.tokens.delete(token.id)
}
