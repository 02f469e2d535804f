/**
 * A turn: snapshot → plan → commit. It ends when its commit has answered and the mirror holds its rows; its actions
 * are handed on before that, since nothing they do needs the mirror. A commit that is refused (the region moved on, or
 * the lease is another's) means that the mirror lags: the region is read anew and decided again.
 */
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import type { Action } from '../model/action.ts'
import type { TerminateDecision, UpkeepDecision } from '../model/decision.ts'
import type { Cause } from '../model/event.ts'
import type { Region } from '../model/region.ts'
import { leadingRollout } from '../model/rollout.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { FleetStore, RowIds } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import type { TurnPlan } from '../store/turn-plan.ts'
import type { AlgorithmFault } from './plan-turn.ts'
import { planTurn } from './plan-turn.ts'
import { unendedHosts } from './unended-hosts.ts'

export interface RegionPolicy {
  readonly algorithm: ScalingAlgorithm | AlgorithmFault
  readonly options: unknown
}

export interface TurnRunnerOptions {
  readonly store: Pick<
    FleetStore,
    'commitTurn' | 'readRegion' | 'readRows' | 'readRolloutHealth' | 'switchRollouts'
  >
  readonly mirror: Mirror
  readonly clock: Clock
  readonly logger: Logger
  readonly fence: () => number | undefined
  /** Whether the mirror is known to be up to date; decisions wait until it is. */
  readonly isCurrent: () => boolean
  readonly policyOf: (region: Region) => Promise<RegionPolicy>
  readonly enqueue: (action: Action) => void
  /** Whether something ends the host already. */
  readonly isTerminationOpen: (hostId: string) => boolean
  /** Actions may have been stored without an answer that said so. */
  readonly resumeActions: () => void
  readonly wake: (regionId: string, cause: Cause) => void
  readonly armTimer: (regionId: string, at: number | undefined) => void
  /** What the sweep has found in a region and nobody has done yet. */
  readonly sweepFindings: (regionId: string) => readonly UpkeepDecision[]
  /** A turn was stored; `held` of the findings was held back. */
  readonly sweepDecided: (regionId: string, held: readonly UpkeepDecision[]) => void
  /** What the blast radius holds back, as of now. */
  readonly noteHeld: (regionId: string, held: readonly UpkeepDecision[]) => void
  readonly fault: FaultPoint
}

/** A region whose turn failed is looked at again after this, in milliseconds. */
const retryMs = 1_000
/** One whose commits are refused again and again: a lease that was lost is noticed only at its next renewal. */
const refusalBackoff = { firstMs: 50, longestMs: 1_000 }

export function createTurnRunner(
  options: TurnRunnerOptions,
): (regionId: string, causes: readonly Cause[]) => Promise<void> {
  const refusals = new Map<string, number>()
  return async (regionId, causes) => {
    try {
      if ((await runTurn(options, regionId, causes)) === 'done') {
        refusals.delete(regionId)
        return
      }
      const count = (refusals.get(regionId) ?? 0) + 1
      refusals.set(regionId, count)
      if (count === 1) options.wake(regionId, { kind: 'resync', why: 'commit-refused' })
      else options.armTimer(regionId, options.clock.now() + backoffMs(count - 1, refusalBackoff))
    } catch (error) {
      options.logger.warn({ regionId, err: error }, 'turn failed')
      options.armTimer(regionId, options.clock.now() + retryMs)
    }
  }
}

async function runTurn(
  options: TurnRunnerOptions,
  regionId: string,
  causes: readonly Cause[],
): Promise<'done' | 'refused'> {
  const { store, mirror, clock, logger } = options
  const fence = options.fence()
  if (fence === undefined || !options.isCurrent()) return 'done'
  const region = mirror.region(regionId)
  if (region === undefined) return 'done'
  const policy = await options.policyOf(region)
  const snapshot = await snapshotOf(options, regionId)
  if (snapshot === undefined) return 'done'

  const startedAt = clock.now()
  const event = { regionId, causes }
  const unended = unendedHosts(snapshot, options.isTerminationOpen)
  const sweep = [...unended, ...without(options.sweepFindings(regionId), unended)]
  const { plan, nextDeadline, held, switches } = planTurn({ snapshot, event, sweep, ...policy })
  options.noteHeld(regionId, held)
  options.armTimer(regionId, nextDeadline)
  if (plan === undefined) {
    await switchGroups(options, switches, fence)
    return 'done'
  }

  options.fault('turn.before-commit')
  const committed = await store
    .commitTurn(regionId, snapshot.region.turn, fence, plan)
    .catch((error: unknown) => {
      options.resumeActions()
      throw error
    })
  options.fault('turn.after-commit')
  if (committed === undefined) {
    logger.info({ regionId, turn: snapshot.region.turn }, 'turn refused: the region has moved on')
    await mirror.rebuild(regionId, () => store.readRegion(regionId))
    return 'refused'
  }
  const stored = committed.turn !== snapshot.region.turn
  if (stored) {
    options.sweepDecided(regionId, held)
    for (const action of actionsOf(plan, regionId, snapshot.region.turn)) options.enqueue(action)
  }
  // The actions' calls go out before anything else is asked of this process.
  await clock.nextRound()
  // A step's consequences are the next turn's; the stream's hint of its rows finds them applied, and wakes nobody.
  if (await readBack(options, { plan, snapshot, region: committed }))
    options.wake(regionId, { kind: 'change', table: 'rollouts' })
  await switchGroups(options, switches, fence)
  // A refusal that only repeats is no news.
  logger[stored ? 'info' : 'debug'](
    {
      regionId,
      turn: snapshot.region.turn,
      causes: causes.map((cause) => cause.kind),
      decisions: plan.decisions.map(
        ({ kind, target, reason }) => `${kind}${target === null ? '' : ` ${target}`}: ${reason}`,
      ),
      outcome: stored ? 'stored' : 'repeated',
      ms: clock.now() - startedAt,
    },
    'turn',
  )
  return 'done'
}

/** With how the roll-out that leads the region does, as long as that can turn it back. */
async function snapshotOf(
  { store, mirror }: TurnRunnerOptions,
  regionId: string,
): Promise<RegionSnapshot | undefined> {
  const snapshot = mirror.snapshot(regionId)
  const leading = snapshot === undefined ? undefined : leadingRollout(snapshot)
  if (leading === undefined || leading.state === 'SWITCHED') return snapshot
  const rolloutHealth = await store.readRolloutHealth(leading)
  const now = mirror.snapshot(regionId)
  // Another may lead by now, and is not judged by what was counted for this one.
  return now !== undefined && leadingRollout(now)?.id === leading.id ? { ...now, rolloutHealth } : now
}

/**
 * What this region has cleared is switched with the rest of its group, by whoever clears the last of it. Nothing is lost
 * with the process: what is cleared stands in the rows, and the next turn asks again.
 */
async function switchGroups(
  { store, mirror, wake, fault }: TurnRunnerOptions,
  groupIds: readonly string[],
  fence: number,
): Promise<void> {
  for (const groupId of groupIds) {
    fault('rollout.before-switch')
    const rollouts = await store.switchRollouts(groupId, fence)
    fault('rollout.after-switch')
    if (rollouts.length === 0) continue
    const asked = { images: rollouts.flatMap(({ fromImage, toImage }) => [fromImage, toImage]) }
    const rows = await store.readRows(asked)
    for (const regionId of mirror.apply({ ...rows, rollouts }))
      wake(regionId, { kind: 'change', table: 'rollouts' })
  }
}

/** A roll-out's images change with its state, those on both of its sides; and so does one that gives way to another. */
function rolloutRowsOf({ rollouts = [], opened = [] }: TurnPlan, seen: RegionSnapshot): RowIds {
  const ids = [...rollouts, ...opened].map(({ id }) => id)
  if (ids.length === 0) return {}
  const idsAnd = (rows: readonly { readonly id: string }[]) => [
    ...new Set([...ids, ...rows.map(({ id }) => id)]),
  ]
  return { rollouts: idsAnd(seen.rollouts), images: idsAnd(seen.images) }
}

/** What is decided of a host already, the sweep need not say again. */
function without(
  found: readonly UpkeepDecision[],
  decided: readonly TerminateDecision[],
): readonly UpkeepDecision[] {
  const hostIds = new Set(decided.map(({ hostId }) => hostId))
  return found.filter((decision) => !('hostId' in decision && hostIds.has(decision.hostId)))
}

function actionsOf(plan: TurnPlan, regionId: string, turn: number): readonly Action[] {
  return plan.actions.map(({ place, kind, target, params }) => {
    const common = { id: `${regionId}:${turn}.${place}`, regionId, target, attempts: 1, nextAttemptAt: null }
    const call = kind === 'launch' ? { offering: null, request: null } : {}
    return { ...common, ...call, kind, params, status: 'RUNNING' } as Action
  })
}

/** The rows that the turn wrote, with the revisions that the database gave them. Gives whether a roll-out is another than before. */
async function readBack(
  { store, mirror }: TurnRunnerOptions,
  { plan, snapshot, region }: { plan: TurnPlan; snapshot: RegionSnapshot; region: Region },
): Promise<boolean> {
  const asked: RowIds = {
    hosts: [...plan.hosts, ...plan.host_updates].map((row) => row.id),
    agents: plan.agent_updates.map((row) => row.id),
    ...rolloutRowsOf(plan, snapshot),
  }
  const { rollouts, ...rows } = await store.readRows(asked)
  mirror.apply({ ...rows, regions: [region] }, { ...asked, rollouts: [] })
  return mirror.apply({ rollouts }).size > 0
}
