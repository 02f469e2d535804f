/** Random operations on roll-outs: what begins, moves, binds and switches them, by turns and by hand. */
import fc from 'fast-check'

import type { RolloutState } from '../../src/model/rollout.ts'
import { rolloutStates, rolloutTransitionIsLegal, rolloutWishes } from '../../src/model/rollout.ts'
import type { RolloutStart } from '../../src/store/fleet-store.ts'
import type { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import type { OpenedRollout, RolloutUpdate, TurnPlan } from '../../src/store/turn-plan.ts'
import type { Call } from './store-operation.ts'
import { fenceOf, operation } from './store-operation.ts'
import { chance, ids, one, pick, rolloutIds } from './store-plans.ts'
import type { RolloutWishes, Side } from './store-sides.ts'
import { otherRegionId, regionId } from './store-sides.ts'

const someOptions = fc.constantFrom<RolloutStart['options']>(
  {},
  { canary_share: 0.25, bake_s: 60 },
  { on_member_failure: 'leave-out', switch: 'hand' },
  { canary_share: 7, ready_s: null, notify_sessions: true },
)
const someVersion = fc.constantFrom('v1', 'v2', 'v3')
const someRegions = fc.constantFrom(
  ...[[regionId], [regionId], [otherRegionId, regionId], [regionId, otherRegionId]],
  ...[[], [regionId, regionId], [regionId, 'fake/none']],
)

/** Images and roll-outs in an order that both sides have. */
const asNamed = (side: Side, rows: readonly object[] | undefined) =>
  rows === undefined ? 'refused' : side.named(rows)

const commit = (db: MemoryDatabase, region: string, luck: number, parts: Partial<TurnPlan>): Call => {
  const nothing = { causes: [], inputs: {}, actions: [], hosts: [], host_updates: [], agent_updates: [] }
  const steps = [...(parts.rollouts ?? []), ...(parts.opened ?? [])]
  const decisions = steps.map(({ place, id }) => ({ place, kind: 'rollout', target: id, reason: 'a step' }))
  const turn = db.regions.get(region)?.turn ?? 0
  const fence = fenceOf(db, luck)
  return ({ store, own }) => store.commitTurn(region, turn, fence, own({ ...nothing, decisions, ...parts }))
}

/** Mostly where it may go. */
const nextOf = (was: RolloutState, which: number): RolloutState => {
  const legal = rolloutStates.filter((state) => rolloutTransitionIsLegal(was, state))
  return which === 9 ? rolloutStates[which % rolloutStates.length]! : (legal[which % legal.length] ?? was)
}

const step = (db: MemoryDatabase, which: number, next: number, luck: number): Call => {
  const id = pick(rolloutIds(db), which)
  const rollout = db.rollouts.get(id)
  const from = rollout?.state ?? 'PREPARING'
  const update: RolloutUpdate = {
    ...{ id, place: 0, from: luck > 90 ? 'READY' : from, to: nextOf(from, next) },
    ...(luck % 2 === 0 ? { reason: `step ${luck}`, counts: { missing_hosts: luck } } : {}),
    ...(luck % 3 === 0 ? { wanted_free: luck % 4, channel_version: luck % 5 === 0 ? null : 'v2' } : {}),
  }
  const region = luck === 77 ? regionId : (rollout?.regionId ?? regionId)
  return commit(db, region, luck, { rollouts: [update] })
}

/** As a turn says that it may be switched. */
const clear = (db: MemoryDatabase, which: number, free: number, luck: number): Call => {
  const id = pick(rolloutIds(db), which)
  const rollout = db.rollouts.get(id)
  const from = rollout?.state ?? 'READY'
  const versions = [null, 'v1', 'v2', db.versions.get('default')?.version ?? null]
  const update: RolloutUpdate = {
    ...{ id, place: 0, from, to: from, is_cleared: luck < 90 },
    ...{ cleared_version: versions[luck % 4]!, wanted_free: free },
  }
  return commit(db, rollout?.regionId ?? regionId, luck, { rollouts: [update] })
}

const open = (db: MemoryDatabase, which: number, options: RolloutStart['options'], luck: number): Call => {
  const candidates = ids(db.images.where((image) => image.status === 'CANDIDATE'))
  const turn = db.regions.get(regionId)?.turn ?? 0
  const images = ids(db.images.where(() => true))
  const opened: OpenedRollout = {
    ...(luck % 2 === 0
      ? { id: `opened-${turn}`, copies: pick(images, which) }
      : { id: pick([...candidates, 'nobody'], which) }),
    place: 0,
    options,
    ...(luck % 3 === 0 ? { switch_wanted: true } : {}),
  }
  return commit(db, regionId, luck, { opened: [opened] })
}

export const rolloutOperations = [
  ...Array.from({ length: 2 }, () =>
    operation(
      'startRollouts',
      [someRegions, someVersion, someOptions, fc.nat(2)],
      (_, regions, version, options, group) => {
        const starts = regions.map((region) => ({
          regionId: region,
          imageId: `ami-${version}`,
          version,
          options,
        }))
        return async (side) => {
          const images = await side.store.startRollouts(starts, group === 0 ? null : `group-${group}`, 'anna')
          // Of those that were there, some have an id that both sides know.
          for (const { id } of images) {
            if (!side.startedImages.includes(id) && !/^(image-|opened-|fake)/.test(id))
              side.startedImages.push(id)
          }
          return asNamed(side, images)
        }
      },
    ),
  ),
  ...Array.from({ length: 4 }, () => operation('stepRollout', [one, one, chance], step)),
  ...Array.from({ length: 2 }, () => operation('clearRollout', [one, fc.nat(2), chance], clear)),
  operation('openRollout', [one, someOptions, chance], open),
  operation('steerRollout', [one, fc.constantFrom(...rolloutWishes)], (db, which, wish) => {
    const id = pick(rolloutIds(db), which)
    return async (side) => {
      const rollout = await side.store.steerRollout(side.own(id), wish, 'anna')
      return rollout === undefined ? 'no' : asNamed(side, [rollout])
    }
  }),
  ...Array.from({ length: 2 }, () =>
    operation('switchRollouts', [one, chance], (db, which, luck) => {
      const group = db.rollouts.get(pick(rolloutIds(db), which))?.groupId ?? 'group-1'
      const fence = fenceOf(db, luck)
      return async (side) => asNamed(side, await side.store.switchRollouts(side.own(group), fence))
    }),
  ),
  operation('setVersion', [fc.option(someVersion, { nil: undefined, freq: 5 })], (_, version) => {
    return (side) => side.setVersion('default', version)
  }),
  operation(
    'setRollout',
    [
      one,
      fc.constantFrom<RolloutWishes>(
        { paused: true },
        { paused: false },
        { switchWanted: true },
        { rollbackWanted: 'by hand' },
      ),
    ],
    (db, which, wish) => {
      const id = pick(rolloutIds(db), which)
      return (side) => side.setRollout(side.own(id), wish)
    },
  ),
  operation('read', [one], (db, which) => {
    const rollout = db.rollouts.get(pick(rolloutIds(db), which))
    return async (side) => {
      if (rollout === undefined) return 'none'
      const { id, toImage } = side.own({ id: rollout.id, toImage: rollout.toImage })
      const found = await side.store.readRollout(id)
      const all = await side.store.readRollouts({ region: regionId, limit: 100 })
      const health = await side.store.readRolloutHealth({ id, toImage })
      return [asNamed(side, found && [found]), asNamed(side, all), health]
    }
  }),
]
