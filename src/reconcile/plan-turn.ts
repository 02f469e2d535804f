/**
 * One region's turn, whole and pure: upkeep and the sweep's findings first, then the exchange of hosts that their
 * provider advises to leave, then the roll-outs, then the algorithm for each image that is kept in size, on the snapshot as
 * those will leave it, its plan through the guard, and everything as the rows and actions that `fleet.commit_turn` stores.
 */
import { countCapacity } from '../model/capacity.ts'
import type {
  AlgorithmDecision,
  Decision,
  DrainDecision,
  LaunchDecision,
  RefuseDecision,
  UpkeepDecision,
} from '../model/decision.ts'
import { targetOf } from '../model/decision.ts'
import type { FleetEvent } from '../model/event.ts'
import { offeringText, openBlocks } from '../model/offering.ts'
import type { Endings } from '../model/region.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import { surgeOf } from '../model/leaving.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import { narrowTo } from '../rollout/narrow.ts'
import { planRollouts } from '../rollout/plan-rollouts.ts'
import type { RolloutPlan } from '../rollout/plan-rollouts.ts'
import type { TurnPlan } from '../store/turn-plan.ts'
import { guard } from './guard.ts'
import { findHosts } from './host-lookup.ts'
import { inWords, parsePlan, textOf } from './plan-parsing.ts'
import { project } from './projection.ts'
import { replacements } from './replacements.ts'
import { settledHost, trustedDecisions } from './trusted-decisions.ts'
import { turnRows } from './turn-entries.ts'
import { upkeep } from './upkeep.ts'

/** An algorithm that could not be loaded, or whose options are wrong: upkeep goes on, and the fault is on record. */
export interface AlgorithmFault {
  readonly name: string
  /** In words, with what to do about it. */
  readonly fault: string
}

export interface TurnInput {
  readonly snapshot: RegionSnapshot
  readonly event: FleetEvent
  readonly algorithm: ScalingAlgorithm | AlgorithmFault
  /** As the algorithm's schema gave them. */
  readonly options: unknown
  /** What the sweep found (`sweepFindings`), to be decided with this turn. */
  readonly sweep?: readonly UpkeepDecision[]
}

export interface PlannedTurn {
  /** In the order of their places. */
  readonly decisions: readonly Decision[]
  /** Undefined when there is nothing to store. */
  readonly plan: TurnPlan | undefined
  /** Milliseconds since the epoch: when the region must be decided again even if nothing happens; later than `now`. */
  readonly nextDeadline: number | undefined
  /** Findings that the blast radius holds back. */
  readonly held: readonly UpkeepDecision[]
  /** Groups of roll-outs that may be switched once this is stored. */
  readonly switches: readonly string[]
}

/** One request for machines stays small: a cloud answers it as a whole, and its failure costs no more than this. */
const mostHostsOfLaunch = 50
/** Of the offerings that are blocked, so many stand in a decision's inputs. */
const mostBlocksNamed = 20
/** Merged refusals are cut here; a plan of a thousand faults needs no thousand sentences. */
const longestRefusal = 2000

/** Never throws, whatever the algorithm does. */
export function planTurn(input: TurnInput): PlannedTurn {
  const { snapshot } = input
  const found = upkeep(snapshot)
  const trusted = trustedDecisions(snapshot, input.sweep ?? [], found.decisions)
  const kept = project(snapshot, trusted.decisions)
  const exchanges = replacements(kept)
  const projected = project(kept, exchanges)
  const rollouts = planRollouts(projected, (hypothesis) => launchesWished(input, hypothesis))
  const settled = new Set(
    [...trusted.decisions, ...exchanges, ...drainsOf(rollouts)].flatMap(
      (decision) => settledHost(decision) ?? [],
    ),
  )
  const seen = project(projected, drainsOf(rollouts))
  const planned = askForEachImage(input, seen, rollouts, settled)
  const decisions = mergeRefusals([
    ...trusted.decisions,
    ...trusted.said,
    ...exchanges,
    ...rollouts.decisions,
    ...planned.flatMap(splitLaunch),
  ])
  const surge = snapshot.rollouts.length > 0 ? snapshot.region.maxSurgeHosts : surgeOf(seen)
  const limits = { surge, endings: trusted.endings }
  const moments = [
    ...[found.nextDeadline, projected.launchBlockedUntil],
    ...[trusted.freesAt, rollouts.nextDeadline],
  ]
  return {
    decisions,
    plan: decisions.length === 0 ? undefined : toTurnPlan(input, decisions, limits),
    nextDeadline: earliest(moments, snapshot.now),
    held: trusted.held,
    switches: rollouts.switches,
  }
}

/** Images are asked for one after the other: what one launches is no room for the next. */
function askForEachImage(
  input: TurnInput,
  seen: RegionSnapshot,
  rollouts: RolloutPlan,
  settled: ReadonlySet<string>,
): readonly AlgorithmDecision[] {
  if (rollouts.kept.length === 0) return guard(seen, askAlgorithm(input, seen), settled)
  let launched = 0
  return rollouts.kept.flatMap((image) => {
    const narrowed = narrowTo(seen, image, launched)
    const planned = guard(narrowed, askAlgorithm(input, narrowed), settled, image.keeper)
    for (const decision of planned) if (decision.kind === 'launch') launched += decision.count
    return narrowed === seen ? planned : planned.map((decision) => ofImage(decision, narrowed, seen))
  })
}

/** The algorithm saw one image's share of everything: its words are true of that only. */
function ofImage(
  decision: AlgorithmDecision,
  { region, activeImage, waitingUsers }: RegionSnapshot,
  seen: RegionSnapshot,
): AlgorithmDecision {
  const isOfImage = decision.kind === 'launch' || (decision.kind === 'refuse' && decision.target === null)
  if (!isOfImage || activeImage === undefined) return decision
  const room = `, whose part of max_hosts ${seen.region.maxHosts} is ${region.maxHosts}`
  const said = [
    `of version ${activeImage.version}${region.maxHosts === seen.region.maxHosts ? '' : room}`,
    ...(waitingUsers > seen.waitingUsers ? ['users with a session on another image count as waiting'] : []),
  ]
  return { ...decision, reason: `${decision.reason} (${said.join('; ')})` }
}

function drainsOf({ decisions }: RolloutPlan): readonly DrainDecision[] {
  return decisions.filter((decision) => decision.kind === 'drain')
}

const aTick = { kind: 'tick', schedule: 'hypothesis' } as const

/** Undefined: the algorithm cannot say. */
function launchesWished(input: TurnInput, hypothesis: RegionSnapshot): number | undefined {
  const event = { regionId: input.event.regionId, causes: [aTick] }
  let count = 0
  for (const decision of parsePlan(askAlgorithm({ ...input, event }, hypothesis))) {
    if (decision.kind === 'refuse') return undefined
    if (decision.kind === 'launch') count += decision.count
  }
  return count
}

/** Gives whatever the algorithm gives: the guard takes nothing for granted. */
function askAlgorithm({ algorithm, event, options }: TurnInput, snapshot: RegionSnapshot): unknown {
  const refuse = (reason: string) => [{ kind: 'refuse', target: null, reason }]
  if ('fault' in algorithm) {
    return refuse(`algorithm ${textOf(algorithm.name, 200)} cannot be used: ${textOf(algorithm.fault, 700)}`)
  }
  try {
    // The mirror shares it with the next snapshot: a plan that sorts in place must fail, not lose hosts. It costs no copy.
    Object.freeze(snapshot.hosts)
    const plan: unknown = algorithm.plan(snapshot, event, options)
    // Its rejection, should there be one, must not end the daemon; the guard says that it is no list.
    if (plan instanceof Promise) plan.catch(() => undefined)
    return plan
  } catch (error) {
    return refuse(`algorithm ${textOf(algorithm.name, 200)} threw: ${inWords(error)}`)
  }
}

function splitLaunch(decision: Decision): readonly Decision[] {
  if (decision.kind !== 'launch' || decision.count <= mostHostsOfLaunch) return [decision]
  const parts = Math.ceil(decision.count / mostHostsOfLaunch)
  return Array.from({ length: parts }, (_, part): LaunchDecision => ({
    ...decision,
    count: Math.min(mostHostsOfLaunch, decision.count - part * mostHostsOfLaunch),
    reason: `${decision.reason} (part ${part + 1} of ${parts})`,
  }))
}

/** One refusal for each target: `commit_turn` compares a refusal with the last words about its target. */
function mergeRefusals(decisions: readonly Decision[]): readonly Decision[] {
  const reasons = new Map<string | null, string[]>()
  const rest: Decision[] = []
  for (const decision of decisions) {
    if (decision.kind !== 'refuse') {
      rest.push(decision)
      continue
    }
    const known = reasons.get(decision.target)
    if (known === undefined) reasons.set(decision.target, [decision.reason])
    else if (!known.includes(decision.reason)) known.push(decision.reason)
  }
  const refusals = Array.from(reasons, ([target, said]): RefuseDecision => ({
    kind: 'refuse',
    target,
    reason: textOf(said.join('; '), longestRefusal),
  }))
  return [...rest, ...refusals]
}

function toTurnPlan(
  input: TurnInput,
  decisions: readonly Decision[],
  { surge, endings }: { readonly surge: number; readonly endings: Endings | undefined },
): TurnPlan {
  const { snapshot, event } = input
  const named = decisions.flatMap((decision) => ('hostId' in decision ? [decision.hostId] : []))
  const context = { snapshot, hosts: findHosts(snapshot, new Set(named)) }
  const rows = decisions.map((decision, place) => turnRows(decision, place, context))
  const rollouts = rows.flatMap((row) => row.rollouts ?? [])
  const opened = rows.flatMap((row) => row.opened ?? [])
  const failed = decisions.find((decision) => decision.kind === 'terminate' && decision.launchFailed)
  return {
    causes: event.causes,
    inputs: inputsOf(input),
    decisions: decisions.map((decision, place) => ({
      place,
      kind: decision.kind,
      target: targetOf(decision),
      reason: decision.reason,
    })),
    actions: rows.flatMap((row) => row.actions ?? []),
    hosts: rows.flatMap((row) => row.hosts ?? []),
    host_updates: rows.flatMap((row) => row.host_updates ?? []),
    agent_updates: rows.flatMap((row) => row.agent_updates ?? []),
    ...(rollouts.length === 0 ? {} : { rollouts }),
    ...(opened.length === 0 ? {} : { opened }),
    ...(surge === 0 ? {} : { surge }),
    ...(endings === undefined ? {} : { endings }),
    ...(failed?.kind === 'terminate' && failed.launchFailed !== undefined
      ? { launch_failed: { code: failed.launchFailed, message: failed.reason } }
      : {}),
  }
}

/** What the turn was decided from, for `muster explain` and for a replay; stored with each decision, so kept short. */
function inputsOf({ snapshot, algorithm, options }: TurnInput): Readonly<Record<string, unknown>> {
  const { region } = snapshot
  const capacity = countCapacity(snapshot)
  return {
    now: snapshot.now,
    algorithm: algorithm.name,
    options: options ?? {},
    counts: {
      hosts: capacity.hosts,
      free: capacity.free,
      coming: capacity.coming,
      live: capacity.live,
      displaced: capacity.displaced,
      waiting: snapshot.waitingUsers,
    },
    enabled: region.enabled,
    target_free_agents: region.targetFreeAgents,
    min_hosts: region.minHosts,
    max_hosts: region.maxHosts,
    max_surge_hosts: region.maxSurgeHosts,
    agents_per_host: region.agentsPerHost,
    image_id: snapshot.activeImage?.id ?? null,
    launch_blocked_until: snapshot.launchBlockedUntil ?? null,
    ...blocksOf(snapshot),
    ...rolloutsOf(snapshot),
  }
}

/** Where none is under way, nothing is said. */
function rolloutsOf({
  rollouts,
  rolloutHealth,
  channelVersion,
}: RegionSnapshot): Readonly<Record<string, unknown>> {
  if (rollouts.length === 0) return {}
  const said = rollouts.map(({ id, state, fromImage, toImage }) => ({
    id,
    state,
    from: fromImage,
    to: toImage,
  }))
  return { rollouts: said, canary: rolloutHealth ?? null, channel_version: channelVersion ?? null }
}

/** The first to end first; where nothing is blocked, nothing is said. */
function blocksOf(snapshot: RegionSnapshot): Readonly<Record<string, unknown>> {
  const blocks = openBlocks(snapshot)
  if (blocks.length === 0) return {}
  const named = blocks.slice(0, mostBlocksNamed).map((block) => `${offeringText(block)}: ${block.code}`)
  const more = blocks.length - named.length
  return { blocked_offerings: more === 0 ? named : [...named, `and ${more} more`] }
}

function earliest(moments: readonly (number | undefined)[], now: number): number | undefined {
  const coming = moments.filter((moment) => moment !== undefined && moment > now)
  return coming.length === 0 ? undefined : Math.min(...coming.filter((moment) => moment !== undefined))
}
