/** The calls of a launch (migration `offerings`, which says why each is as it is), and what a provider says of itself. */
import { launchOf } from '../../model/action.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Offering } from '../../model/offering.ts'
import type { BegunCall, Discovered, FleetStore, LaunchToken, Refusal } from '../fleet-store.ts'
import { isOpen, notCalled, toAction } from './actions.ts'
import { blockOffering, holdLaunches } from './holds.ts'
import { hostsOfLaunch, updateHost } from './host-rows.ts'
import { storeLaunchToken } from './launch-tokens.ts'
import { endLaunch } from './launches.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { logRefusal } from './refusals.ts'
import { updateRegion } from './region-rows.ts'
import type { ActionRow, RegionRow } from './rows.ts'

type CallWrites = Pick<FleetStore, 'beginCall' | 'settleCall' | 'refuseCall' | 'storeDiscovery'>

export function createCallWrites(db: MemoryDatabase): CallWrites {
  const openLaunch = (actionId: string, fence: number): ActionRow | undefined => {
    const action = db.actions.get(actionId)
    const isOurs = db.leaseIsHeld(fence) && action?.kind === 'launch' && isOpen(action)
    return isOurs ? action : undefined
  }
  return {
    beginCall: (actionId, fence, offering, request, token) =>
      db.transact(() => {
        const action = openLaunch(actionId, fence)
        return action === undefined ? undefined : beginCall(db, action, { offering, request, token })
      }),
    settleCall: (actionId, fence) =>
      db.transact(() => {
        const action = db.actions.get(actionId)
        if (!db.leaseIsHeld(fence) || action === undefined || !isOpen(action)) return
        db.actions.put({ ...action, isCalling: false })
      }),
    refuseCall: (actionId, fence, refusal) =>
      db.transact(() => {
        const action = openLaunch(actionId, fence)
        if (action === undefined) return undefined
        const next = refuseCall(db, action, refusal)
        return { next: next === undefined ? undefined : toAction(next) }
      }),
    storeDiscovery: (regionId, fence, found) =>
      db.transact(() => {
        const region = db.regions.get(regionId)
        return region === undefined || !db.leaseIsHeld(fence) ? undefined : storeDiscovery(db, region, found)
      }),
  }
}

interface Call {
  readonly offering: Offering
  readonly request: JsonObject
  readonly token: LaunchToken
}

function beginCall(
  db: MemoryDatabase,
  action: ActionRow,
  { offering, request, token }: Call,
): BegunCall | 'cancelled' | undefined {
  const { launchId } = launchOf(action.id)
  if (!action.isCalling && !action.isRepeat && !isWanted(db, launchId)) {
    endLaunch(db, launchId, [], undefined)
    const error = 'its hosts are not wanted any more'
    db.actions.put({ ...action, status: 'CANCELLED', error, nextAttemptAt: null })
    return 'cancelled'
  }
  if (!storeLaunchToken(db, launchId, token)) return undefined
  const chosen = action.offering ?? offering
  if (action.request === null) {
    const given = db.regions.get(action.regionId)?.agentsPerHostGiven ?? null
    const { instanceType, zone, lifecycle, agents } = chosen
    for (const host of hostsOfLaunch(db, launchId)) {
      if (host.cloudId !== null || host.status === 'TERMINATED') continue
      updateHost(db, host, { instanceType, zone, lifecycle, capacity: given ?? agents })
    }
  }
  const begun = {
    offering: chosen,
    request: action.request ?? request,
    isRepeat: action.isRepeat || action.isCalling,
  }
  db.actions.put({ ...action, ...begun, isCalling: true })
  return begun
}

/** Gives the next call, when there is one. */
function refuseCall(db: MemoryDatabase, action: ActionRow, refusal: Refusal): ActionRow | undefined {
  const { code, message, blockS, next } = refusal
  const { launchId, attempt } = launchOf(action.id)
  const wasWanted = isWanted(db, launchId)
  blockOffering(db, action, { code, message, seconds: blockS })
  logRefusal(db, action, refusal)
  db.actions.put({
    ...action,
    status: 'FAILED',
    errorCode: code,
    error: message,
    isCalling: false,
    nextAttemptAt: null,
  })
  if (next !== undefined && wasWanted) {
    const upcoming: ActionRow = {
      ...action,
      ...notCalled,
      id: `${launchId}~${attempt + 1}`,
      status: 'RUNNING',
      attempts: 1,
      nextAttemptAt: null,
      errorCode: null,
      error: null,
      offering: next,
      createdAt: db.now(),
    }
    db.actions.put(upcoming)
    return upcoming
  }
  endLaunch(db, launchId, [], message)
  if (next === undefined) holdLaunches(db, action.regionId, { code, message })
  return undefined
}

function isWanted(db: MemoryDatabase, launchId: string): boolean {
  return hostsOfLaunch(db, launchId).some((host) => host.status === 'LAUNCHING')
}

function storeDiscovery(db: MemoryDatabase, region: RegionRow, found: Discovered): RegionRow {
  if ('agents' in found) {
    if (region.agentsPerHostDiscovered === found.agents) return region
    const isHeld = region.launchFailures > 0
    const fault = isHeld ? {} : { launchErrorCode: null, launchError: null }
    return updateRegion(db, region.id, { agentsPerHostDiscovered: found.agents, ...fault })
  }
  const { code, message } = found
  const isNews = region.launchErrorCode !== code || region.launchError !== message
  if (region.agentsPerHostDiscovered !== null || !isNews) return region
  return updateRegion(db, region.id, { launchErrorCode: code, launchError: message })
}
