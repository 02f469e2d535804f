/** The functions that end launches and hosts (migrations `functions` and `offerings`). */
import { launchOf } from '../../model/action.ts'
import type { Host } from '../../model/host.ts'
import type { LaunchOutcome } from '../fleet-store.ts'
import { isOpen } from './actions.ts'
import { blockOffering, holdLaunches } from './holds.ts'
import { hostsOfLaunch, updateHost } from './host-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { logRefusal } from './refusals.ts'

/** As `fleet.bind_launch`: machines and unbound rows, both in order of id; gives the launch's rows. */
export function bindLaunch(
  db: MemoryDatabase,
  launchId: string,
  cloudIds: readonly string[],
): readonly Host[] {
  for (const cloudId of cloudIds.toSorted()) {
    const hosts = hostsOfLaunch(db, launchId)
    if (hosts.some((host) => host.cloudId === cloudId)) continue
    const unbound = hosts.find((host) => host.cloudId === null && host.status !== 'TERMINATED')
    if (unbound === undefined) continue
    const status = unbound.status === 'LAUNCHING' ? 'PRE_CONNECTION' : unbound.status
    updateHost(db, unbound, { cloudId, status })
  }
  return hostsOfLaunch(db, launchId)
}

/** As `fleet.finish_launch`; false: the action has ended, or the lease is not ours. */
export function finishLaunch(
  db: MemoryDatabase,
  actionId: string,
  fence: number,
  result: LaunchOutcome,
): boolean {
  const action = db.actions.get(actionId)
  if (!db.leaseIsHeld(fence) || action === undefined || !isOpen(action)) return false
  const { cloudIds, code, message, blockS = 0, until } = result
  endLaunch(db, launchOf(actionId).launchId, cloudIds, message)
  if (code !== undefined) {
    logRefusal(db, action, { code, message })
    blockOffering(db, action, { code, message, seconds: blockS })
    if (cloudIds.length === 0 || blockS <= 0) holdLaunches(db, action.regionId, { code, message, until })
  }
  db.actions.put({
    ...action,
    status: cloudIds.length > 0 ? 'SUCCEEDED' : 'FAILED',
    isCalling: false,
    errorCode: code ?? null,
    error: message ?? null,
    nextAttemptAt: null,
  })
  return true
}

/** As `fleet.end_launch`: the machines are bound, rows without one end. */
export function endLaunch(
  db: MemoryDatabase,
  launchId: string,
  cloudIds: readonly string[],
  message: string | undefined,
): void {
  bindLaunch(db, launchId, cloudIds)
  for (const host of hostsOfLaunch(db, launchId)) {
    if (host.cloudId !== null) continue
    if (host.status === 'LAUNCHING' || host.status === 'TERMINATING') {
      updateHost(db, host, { status: 'TERMINATED', reason: message ?? 'not launched' })
    } else if (host.status === 'DRAINING') {
      updateHost(db, updateHost(db, host, { status: 'TERMINATING' }), { status: 'TERMINATED' })
    }
  }
}

/** As `fleet.end_host`; false: there is no such row, or the lease is not ours. */
export function endHost(db: MemoryDatabase, hostId: string, fence: number, reason: string | null): boolean {
  if (!db.leaseIsHeld(fence)) return false
  let host = db.hosts.get(hostId)
  if (host !== undefined && host.status !== 'TERMINATED') {
    if (host.status !== 'TERMINATING') host = updateHost(db, host, { status: 'TERMINATING' })
    updateHost(db, host, { status: 'TERMINATED', reason: reason ?? host.reason })
  }
  for (const action of db.actions.where((row) => row.target === hostId && row.kind === 'terminate')) {
    if (!isOpen(action)) continue
    db.actions.put({ ...action, status: 'SUCCEEDED', nextAttemptAt: null, errorCode: null, error: null })
  }
  return host !== undefined
}

/** A person's wish; false: the host was not in a state that can be drained. */
export function drainHost(db: MemoryDatabase, hostId: string, reason: string): boolean {
  const host = db.hosts.get(hostId)
  if (host === undefined) return false
  if (host.status === 'DRAINING' || host.status === 'TERMINATING' || host.status === 'TERMINATED')
    return false
  updateHost(db, host, { status: 'DRAINING', reason })
  return true
}
