/** `fleet.commit_turn`, step by step: the migration `functions` says why each is as it is. */
import { isLive } from '../../model/agent.ts'
import type { Region } from '../../model/region.ts'
import { isOver } from '../../model/rollout.ts'
import type { TurnPlan } from '../turn-plan.ts'
import { agentsOf, updateAgent } from './agent-rows.ts'
import { blockLaunches } from './holds.ts'
import { insertHost, updateHost } from './host-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { notCalled } from './actions.ts'
import { updateRegion } from './region-rows.ts'
import { stepRollouts } from './rollouts.ts'
import type { DecisionRow } from './rows.ts'

export interface TurnArguments {
  readonly regionId: string
  readonly turn: number
  readonly fence: number
  readonly plan: TurnPlan
}

export function commitTurn(
  db: MemoryDatabase,
  { regionId, turn, fence, plan }: TurnArguments,
): Region | undefined {
  const region = db.regions.get(regionId)
  if (!db.leaseIsHeld(fence) || region?.turn !== turn) return undefined
  const repeated = repeatedWords(db, regionId, plan)
  if (repeated !== undefined) {
    for (const row of new Set(repeated)) {
      db.decisions.put({ ...row, repeats: row.repeats + 1, updatedAt: db.now(), causes: plan.causes })
    }
    return region
  }
  if (plan.hosts.length > 0 && !hasRoom(db, region, plan)) return undefined

  const busyPlaces = new Set(stepRollouts(db, regionId, plan.rollouts ?? [], plan.opened ?? []))
  for (const update of plan.host_updates) if (!moveHost(db, regionId, update)) busyPlaces.add(update.place)
  for (const { id, place, from, to, failure } of plan.agent_updates) {
    const agent = db.agents.get(id)
    if (agent?.regionId === regionId && from.includes(agent.status))
      updateAgent(db, agent, { status: to, failure: agent.failure ?? failure ?? null })
    else busyPlaces.add(place)
  }
  const idOf = (place: number): string => `${regionId}:${turn}.${place}`
  storeDecisions(db, region, plan, busyPlaces, idOf)
  for (const { place, ...host } of plan.hosts) launchRow(db, region, host, idOf(place))
  storeActions(db, regionId, plan, busyPlaces, idOf)
  if (plan.launch_failed !== undefined) {
    blockLaunches(db, regionId, plan.launch_failed)
  }
  const { endings = region.endings } = plan
  return updateRegion(db, regionId, { turn: turn + 1, endings })
}

/** The decisions that a plan of nothing but refusals only says again; undefined: it says or does something new. */
function repeatedWords(
  db: MemoryDatabase,
  regionId: string,
  plan: TurnPlan,
): readonly DecisionRow[] | undefined {
  const steps = (plan.rollouts?.length ?? 0) + (plan.opened?.length ?? 0)
  const deeds =
    plan.actions.length + plan.hosts.length + plan.host_updates.length + plan.agent_updates.length + steps
  if (deeds > 0 || plan.launch_failed !== undefined) return undefined
  const found: DecisionRow[] = []
  for (const { kind, target, reason } of plan.decisions) {
    if (kind !== 'refuse' && kind !== 'report') return undefined
    const said = db.decisions.where(
      (row) => row.regionId === regionId && row.kind === kind && (row.target ?? '') === (target ?? ''),
    )
    const lastTurn = Math.max(...said.map((row) => row.turn))
    const last = said.find((row) => row.turn === lastTurn && row.reason === reason)
    if (last === undefined) return undefined
    found.push(last)
  }
  return found
}

function hasRoom(db: MemoryDatabase, region: Region, plan: TurnPlan): boolean {
  const standing = db.hosts.where((host) => host.regionId === region.id && host.status !== 'TERMINATED')
  if (db.rollouts.values().some((rollout) => rollout.regionId === region.id && !isOver(rollout))) {
    const most = region.maxHosts + Math.min(plan.surge ?? 0, region.maxSurgeHosts)
    return region.enabled && standing.length + plan.hosts.length <= most
  }
  // As `fleet.leaving_hosts`: what its provider takes, once it is interrupted or has its replacement.
  const replaced = new Set([...standing, ...plan.hosts].map((host) => host.replaces ?? null))
  const leaving = standing.filter(
    ({ id, interruptionAt, rebalanceAdvisedAt }) =>
      interruptionAt !== null || (rebalanceAdvisedAt !== null && replaced.has(id)),
  )
  const most = region.maxHosts + Math.min(plan.surge ?? 0, region.maxSurgeHosts, leaving.length)
  return region.enabled && standing.length + plan.hosts.length <= most
}

function moveHost(db: MemoryDatabase, regionId: string, update: TurnPlan['host_updates'][number]): boolean {
  if (update.idle === true && agentsOf(db, update.id).some(isLive)) return false
  const host = db.hosts.get(update.id)
  if (host?.regionId !== regionId || !update.from.includes(host.status) || host.status === update.to)
    return false
  const notifySessions = host.notifySessions || update.notify === true
  updateHost(db, host, { status: update.to, reason: update.reason, notifySessions })
  return true
}

function storeDecisions(
  db: MemoryDatabase,
  region: Region,
  plan: TurnPlan,
  busyPlaces: ReadonlySet<number>,
  idOf: (place: number) => string,
): void {
  for (const { place, kind, target, reason } of plan.decisions) {
    const id = idOf(place)
    if (db.decisions.get(id) !== undefined) continue
    const isBusy = busyPlaces.has(place)
    db.decisions.put({
      id,
      regionId: region.id,
      turn: region.turn,
      place,
      causes: plan.causes,
      kind: isBusy ? 'refuse' : kind,
      target,
      reason: isBusy ? `${reason} (not done: ${target ?? 'it'} had changed by then)` : reason,
      inputs: plan.inputs,
      repeats: 1,
      createdAt: db.now(),
      updatedAt: db.now(),
    })
  }
}

function launchRow(
  db: MemoryDatabase,
  region: Region,
  host: Omit<TurnPlan['hosts'][number], 'place'>,
  launchId: string,
): void {
  insertHost(db, {
    id: host.id,
    regionId: region.id,
    provider: region.provider,
    cloudId: null,
    launchId,
    imageId: host.image_id,
    version: host.version,
    instanceType: host.instance_type,
    zone: '',
    lifecycle: 'on-demand',
    address: null,
    capacity: host.capacity,
    status: 'LAUNCHING',
    statusBefore: null,
    protected: false,
    reason: host.reason,
    heartbeatAt: null,
    interruptionAt: null,
    rebalanceAdvisedAt: null,
    replaces: host.replaces ?? null,
    notifySessions: false,
  })
}

function storeActions(
  db: MemoryDatabase,
  regionId: string,
  plan: TurnPlan,
  busyPlaces: ReadonlySet<number>,
  idOf: (place: number) => string,
): void {
  for (const { place, kind, target, params } of plan.actions) {
    const id = idOf(place)
    if (busyPlaces.has(place) || db.actions.get(id) !== undefined) continue
    db.actions.put({
      id,
      decisionId: id,
      regionId,
      kind,
      target,
      params,
      status: 'RUNNING',
      attempts: 1,
      nextAttemptAt: null,
      errorCode: null,
      error: null,
      ...notCalled,
      createdAt: db.now(),
    })
  }
}
