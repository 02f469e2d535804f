/**
 * What each kind of decision becomes in the database: rows and actions of `fleet.commit_turn`. A kind without an entry
 * does not compile. Updates are guarded by the status that the decision was made from: had the row moved on, the
 * decision is stored as not done, and the next turn decides anew.
 */
import { createHash } from 'node:crypto'
import type { LaunchParams } from '../model/action.ts'
import type { Decision, DecisionKind } from '../model/decision.ts'
import { isLive } from '../model/agent.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import type { TurnPlan } from '../store/turn-plan.ts'

export interface TurnContext {
  readonly snapshot: RegionSnapshot
  /** The hosts that the turn's decisions name. */
  readonly hosts: ReadonlyMap<string, HostView>
}

export type TurnRows = Partial<
  Pick<TurnPlan, 'actions' | 'hosts' | 'host_updates' | 'agent_updates' | 'rollouts' | 'opened'>
>
type DecisionOf<Kind extends DecisionKind> = Extract<Decision, { kind: Kind }>
type Entry<Kind extends DecisionKind> = (
  decision: DecisionOf<Kind>,
  place: number,
  context: TurnContext,
) => TurnRows

const entries: { readonly [Kind in DecisionKind]: Entry<Kind> } = {
  launch: (decision, place, { snapshot }) => launchHosts(decision, place, snapshot),
  replace: ({ hostId: replaces, reason }, place, { snapshot }) =>
    launchHosts({ count: 1, reason, replaces, imageId: snapshot.activeImage?.id }, place, snapshot),
  drain: (decision, place, { hosts }) => {
    const host = hosts.get(decision.hostId)
    if (host === undefined) return {}
    return {
      host_updates: [
        {
          ...{ id: host.id, place, from: [host.status], to: 'DRAINING', reason: decision.reason },
          ...(decision.withSessions === true ? {} : { idle: true }),
          ...(decision.notify === true ? { notify: true } : {}),
        },
      ],
    }
  },
  terminate: (decision, place, context) => endHost(decision, place, context, decision.involuntary !== true),
  'host-gone': (decision, place, context) => endHost(decision, place, context, false),
  suspect: (decision, place, { hosts }) => {
    const host = hosts.get(decision.hostId)
    if (host === undefined) return {}
    return {
      host_updates: [
        { id: host.id, place, from: [host.status], to: 'UNRESPONSIVE', reason: decision.reason },
      ],
    }
  },
  'end-agent': (decision, place, { hosts }) => {
    const agent = hosts.get(decision.hostId)?.agents.find(({ id }) => id === decision.agentId)
    if (agent === undefined || !isLive(agent)) return {}
    const failure = decision.failure === undefined ? {} : { failure: decision.failure }
    return { agent_updates: [{ id: agent.id, place, from: [agent.status], to: 'DYING', ...failure }] }
  },
  'clear-orphan': (decision, place) => ({
    actions: [{ place, kind: 'clear-orphan', target: decision.cloudId, params: {} }],
  }),
  rollout: (decision, place) => ({
    rollouts: [
      {
        ...{ id: decision.rolloutId, place, from: decision.from, to: decision.to, reason: decision.reason },
        ...(decision.isCleared === undefined
          ? {}
          : { is_cleared: decision.isCleared, cleared_version: decision.clearedVersion ?? null }),
        ...(decision.wantedFree === undefined ? {} : { wanted_free: decision.wantedFree }),
        ...(decision.channelVersion === undefined ? {} : { channel_version: decision.channelVersion }),
        ...(decision.counts === undefined ? {} : { counts: decision.counts }),
      },
    ],
  }),
  'open-rollout': ({ rolloutId: id, copies, switchWanted }, place) => ({
    opened: [
      {
        ...{ id, place },
        ...(copies === undefined ? {} : { copies }),
        ...(switchWanted === undefined ? {} : { switch_wanted: switchWanted }),
      },
    ],
  }),
  refuse: () => ({}),
  report: () => ({}),
}

export function turnRows(decision: Decision, place: number, context: TurnContext): TurnRows {
  // The table is keyed by kind, which the compiler cannot carry through a lookup of a union.
  const entry = entries[decision.kind] as (
    decision: Decision,
    place: number,
    context: TurnContext,
  ) => TurnRows
  return entry(decision, place, context)
}

/** LAUNCHING rows and the action that asks the provider for their machines. */
function launchHosts(
  launch: {
    readonly count: number
    readonly reason: string
    readonly replaces?: string
    readonly imageId: string | undefined
  },
  place: number,
  { region, images }: RegionSnapshot,
): TurnRows {
  const image = images.find(({ id }) => id === launch.imageId)
  // Neither the guard nor `replacements` lets a launch through then.
  if (image === undefined) return {}
  const { count, reason, replaces } = launch
  const params: LaunchParams = {
    image: image.imageId,
    version: image.version,
    count,
    instanceTypes: region.instanceTypes,
    agentsPerHost: region.agentsPerHost,
  }
  const hosts = Array.from({ length: count }, (_, index) => ({
    id: hostId(region.id, region.turn, place, index),
    place,
    image_id: image.id,
    version: image.version,
    instance_type: region.instanceTypes[0] ?? '',
    capacity: region.agentsPerHost,
    reason,
    ...(replaces === undefined ? {} : { replaces }),
  }))
  return { hosts, actions: [{ place, kind: 'launch', target: null, params }] }
}

/**
 * TERMINATING and the action that ends the machine. The row of a host that is TERMINATING already (by a person's hand)
 * lacks only the action. `spareSessions`: a host that was seen without sessions is left alone if it has one by then.
 */
function endHost(
  decision: { readonly hostId: string; readonly reason: string },
  place: number,
  { hosts }: TurnContext,
  spareSessions: boolean,
): TurnRows {
  const host = hosts.get(decision.hostId)
  if (host === undefined) return {}
  const actions = [{ place, kind: 'terminate', target: host.id, params: {} }] as const
  if (host.status === 'TERMINATING') return { actions }
  const idle = spareSessions && host.liveAgents === 0 ? { idle: true } : {}
  return {
    actions,
    host_updates: [
      { id: host.id, place, from: [host.status], to: 'TERMINATING', reason: decision.reason, ...idle },
    ],
  }
}

/** Derived from region, turn and place, so that storing a turn twice is harmless and a later turn never repeats it. */
function hostId(regionId: string, turn: number, place: number, index: number): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([regionId, turn, place, index]))
    .digest('hex')
  return `h-${hash.slice(0, 12)}`
}
