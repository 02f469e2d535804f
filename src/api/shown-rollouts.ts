import type { Image } from '../model/region.ts'
import type { Rollout } from '../model/rollout.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { FleetView } from '../store/fleet-view.ts'
import type { RolloutSurroundings } from './rollout-progress.ts'
import { deadlineOf, figuresOf, waitsFor } from './rollout-progress.ts'
import { timeText } from './time-text.ts'

interface Sources {
  readonly store: Pick<FleetStore, 'readRollouts' | 'readRows' | 'readRolloutHealth'>
  readonly view: Pick<FleetView, 'snapshot'>
}

const mostMembers = 1000

/** Roll-outs as the API answers them: their rows with their images and groups, and what is held of their regions. */
export async function shownRollouts({ store, view }: Sources, rollouts: readonly Rollout[]) {
  const imageIds = [...new Set(rollouts.flatMap(({ fromImage, toImage }) => [fromImage, toImage]))]
  const groups = [...new Set(rollouts.filter(isBound).map(({ groupId }) => groupId))]
  const watched = rollouts.filter(({ state }) => state === 'CANARY')
  const [{ images }, bound, counted] = await Promise.all([
    store.readRows({ images: imageIds }),
    groups.length === 0 ? [] : store.readRollouts({ groups, limit: mostMembers }),
    Promise.all(
      watched.map(async (rollout) => [rollout.id, await store.readRolloutHealth(rollout)] as const),
    ),
  ])
  const healthOf = new Map(counted)
  const imageOf = new Map(images.map((image) => [image.id, image]))
  const membersOf = Map.groupBy(bound, ({ groupId }) => groupId)
  return rollouts.map((rollout) =>
    shown(rollout, imageOf, {
      snapshot: view.snapshot(rollout.regionId),
      members: membersOf.get(rollout.groupId) ?? [],
      health: healthOf.get(rollout.id) ?? rollout.counts.canary,
    }),
  )
}

export type ShownRollout = Awaited<ReturnType<typeof shownRollouts>>[number]

function shown(rollout: Rollout, imageOf: ReadonlyMap<string, Image>, surroundings: RolloutSurroundings) {
  const { snapshot, members, health: canary } = surroundings
  const { missing_hosts: missing, without_room: withoutRoom } = rollout.counts
  const shownImage = (id: string) => {
    const image = imageOf.get(id)
    return {
      id,
      image_id: image?.imageId ?? null,
      version: image?.version ?? null,
      status: image?.status ?? null,
      ...figuresOf(id, snapshot),
    }
  }
  return {
    id: rollout.id,
    region: rollout.regionId,
    version: rollout.version,
    state: rollout.state,
    since: timeText(rollout.stateSince),
    paused: rollout.paused,
    reason: rollout.reason,
    waits_for: waitsFor(rollout, surroundings),
    deadline: timeText(deadlineOf(rollout, snapshot)),
    from: shownImage(rollout.fromImage),
    to: shownImage(rollout.toImage),
    missing_hosts: missing ?? null,
    without_room: withoutRoom ?? null,
    canary_share: rollout.canaryShare,
    canary:
      canary === undefined
        ? null
        : {
            candidate: canary.candidate,
            control: canary.control,
            never_connected: canary.neverConnected,
          },
    channel: snapshot?.region.channel ?? null,
    channel_version: snapshot?.channelVersion ?? rollout.channelVersion,
    switch_wanted: rollout.switchWanted,
    rollback_wanted: rollout.rollbackWanted,
    group: isBound(rollout)
      ? {
          id: rollout.groupId,
          members: members
            .map(({ id, regionId, state, paused }) => ({ id, region: regionId, state, paused }))
            .toSorted((one, other) => (one.region < other.region ? -1 : 1)),
        }
      : null,
    options: rollout.options,
    created_at: timeText(rollout.createdAt),
    ready_at: timeText(rollout.readyAt),
    switched_at: timeText(rollout.switchedAt),
    ended_at: timeText(rollout.endedAt),
  }
}

/** Whether it is one of a group. */
function isBound({ id, groupId }: Rollout): boolean {
  return id !== groupId
}
