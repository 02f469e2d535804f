/** Roll-outs as the migration `rollouts` has them: the state machine with the images that follow it, and what people ask. */
import type { Image } from '../../model/region.ts'
import type { Rollout, RolloutHealth, RolloutState, RolloutWish } from '../../model/rollout.ts'
import { defaultRolloutOptions, isLeading, isOver, rolloutTransitionIsLegal } from '../../model/rollout.ts'
import type { FleetStore, RolloutStart } from '../fleet-store.ts'
import type { OpenedRollout, RolloutUpdate } from '../turn-plan.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { existing } from './memory-database.ts'
import { refusal } from './refusal.ts'
import { followRollout, insertImage } from './region-rows.ts'
import type { RolloutRow } from './rows.ts'

type RolloutStore = Pick<
  FleetStore,
  | 'readRolloutHealth'
  | 'switchRollouts'
  | 'startRollouts'
  | 'steerRollout'
  | 'readRollouts'
  | 'readRollout'
  | 'readImages'
>

export function createRolloutStore(db: MemoryDatabase): RolloutStore {
  return {
    readRolloutHealth: (rollout) => db.transact(() => healthOf(db, rollout)),
    switchRollouts: (groupId, fence) => db.transact(() => switchRollouts(db, groupId, fence)),
    startRollouts: (starts, groupId) => db.transact(() => startRollouts(db, starts, groupId)),
    steerRollout: (id, wish, actor) => db.transact(() => steerRollout(db, id, wish, actor)),
    readRollouts: ({ region, groups, limit }) =>
      db.transact(() =>
        db.rollouts
          .where(
            (rollout) =>
              (region ?? rollout.regionId) === rollout.regionId &&
              groups?.includes(rollout.groupId) !== false,
          )
          .toSorted((one, other) => other.createdAt - one.createdAt)
          .slice(0, limit),
      ),
    readRollout: (id) => db.transact(() => db.rollouts.get(id)),
    readImages: (regionId) => db.transact(() => db.images.where((image) => image.regionId === regionId)),
  }
}

/** A turn's steps; gives the places of those that could not be done. */
export function stepRollouts(
  db: MemoryDatabase,
  regionId: string,
  updates: readonly RolloutUpdate[],
  opened: readonly OpenedRollout[],
): readonly number[] {
  const busyPlaces: number[] = []
  for (const update of updates) {
    const was = db.rollouts.get(update.id)
    if (was?.regionId !== regionId || was.state !== update.from) busyPlaces.push(update.place)
    else updateRollout(db, was, changesOf(update))
  }
  for (const { id, place, copies, options, switch_wanted } of opened) {
    const original = copies === undefined ? undefined : db.images.get(copies)
    if (original?.regionId === regionId && db.images.get(id) === undefined) {
      insertImage(db, { ...original, id, status: 'CANDIDATE', createdAt: db.now(), revision: 1 })
    }
    const isOurs = db.images.get(id)?.regionId === regionId
    const rollout = isOurs ? openRollout(db, id, options ?? {}, null) : undefined
    if (rollout === undefined) busyPlaces.push(place)
    else if (switch_wanted === true) updateRollout(db, rollout, { switchWanted: true })
  }
  return busyPlaces
}

function changesOf(update: RolloutUpdate): Partial<RolloutRow> {
  const { to: state, reason, is_cleared, cleared_version, wanted_free, channel_version, counts } = update
  return {
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(is_cleared === undefined ? {} : { isCleared: is_cleared, clearedVersion: cleared_version ?? null }),
    ...(wanted_free === undefined ? {} : { wantedFree: wanted_free }),
    ...(channel_version === undefined ? {} : { channelVersion: channel_version }),
    ...(counts === undefined ? {} : { counts }),
  }
}

/** Only along the state machine; the images and the group follow. @throws MusterError `database-refused` */
export function updateRollout(db: MemoryDatabase, was: RolloutRow, changes: Partial<RolloutRow>): RolloutRow {
  const now = db.now()
  let row: RolloutRow = { ...was, ...changes, revision: was.revision + 1 }
  if (row.state !== was.state) {
    if (!rolloutTransitionIsLegal(was.state, row.state)) {
      throw refusal(`roll-out ${was.id} may not go from ${was.state} to ${row.state}`)
    }
    row = { ...row, ...entering(row.state, now), pausedAt: row.paused ? now : null }
  } else if (row.paused !== was.paused) {
    const stateSince = row.paused ? was.stateSince : was.stateSince + (now - (was.pausedAt ?? now))
    row = { ...row, stateSince, pausedAt: row.paused ? now : null }
  }
  db.rollouts.put(row)
  if (row.state !== was.state) follow(db, was, row)
  db.noteChange('rollouts', row.id, row.regionId)
  return row
}

function entering(state: RolloutState, now: number): Partial<RolloutRow> {
  return {
    stateSince: now,
    isCleared: false,
    clearedVersion: null,
    endedAt: state === 'DONE' || state === 'ROLLED_BACK' ? now : null,
    ...(state === 'READY' ? { readyAt: now } : {}),
    ...(state === 'SWITCHED' ? { switchedAt: now } : {}),
  }
}

function follow(db: MemoryDatabase, was: RolloutRow, row: RolloutRow): void {
  if (row.state === 'SWITCHED') {
    followRollout(db, row.fromImage, 'RETIRED')
    followRollout(db, row.toImage, 'ACTIVE')
  }
  if (row.state !== 'ROLLING_BACK') return
  followRollout(db, row.toImage, 'RETIRED')
  if (was.state === 'SWITCHED') followRollout(db, row.fromImage, 'ACTIVE')
  if (row.options.on_member_failure === 'leave-out') return
  const why = `its group goes back with ${row.regionId}: ${row.reason ?? ''}`.slice(0, 1000)
  for (const other of membersOf(db, row.groupId)) {
    if (other.id === row.id || other.rollbackWanted !== null || !isLeading(other)) continue
    updateRollout(db, other, { rollbackWanted: why })
  }
}

/** By hand, as all that is said of a channel; undefined: nobody says any more. It is news to each region of the channel. */
export function setVersion(db: MemoryDatabase, channel: string, version: string | undefined): void {
  const was = db.versions.get(channel)
  if (version === undefined) db.versions.delete(channel)
  else {
    // Higher than that of a row that was deleted.
    const revision = Math.max(db.latestChange, was?.revision ?? 0) + 1
    db.versions.put({ id: channel, version, revision })
  }
  if (was === undefined && version === undefined) return
  for (const region of db.regions.where((row) => row.channel === channel)) {
    db.noteChange('versions', channel, region.id)
  }
}

/** Undefined: the region has no ACTIVE image, or the image is no CANDIDATE, or has had its roll-out. */
function openRollout(
  db: MemoryDatabase,
  candidate: string,
  given: RolloutStart['options'],
  groupId: string | null,
): RolloutRow | undefined {
  const image = db.images.get(candidate)
  if (image?.status !== 'CANDIDATE' || db.rollouts.get(candidate) !== undefined) return undefined
  const active = activeImageOf(db, image.regionId)
  if (active === undefined) return undefined
  const region = existing(db.regions, image.regionId)
  for (const other of db.rollouts.where((row) => row.regionId === region.id && isLeading(row))) {
    const state = other.state === 'SWITCHED' ? 'DRAINING' : 'ROLLING_BACK'
    updateRollout(db, other, { state, reason: `superseded by a roll-out to ${image.version}` })
  }
  const settings = { ...(region.rollout as object), ...given } as RolloutStart['options']
  const { canary_share: canaryShare = 0, ...options } = settings
  const now = db.now()
  const row: RolloutRow = {
    id: image.id,
    regionId: region.id,
    groupId: groupId ?? image.id,
    fromImage: active.id,
    toImage: image.id,
    version: image.version,
    state: 'PREPARING',
    stateSince: now,
    paused: false,
    pausedAt: null,
    canaryShare: Math.min(1, Math.max(0, canaryShare)),
    options: { ...defaultRolloutOptions, ...options },
    reason: 'its buffer is launched',
    counts: {},
    isCleared: false,
    clearedVersion: null,
    wantedFree: 0,
    channelVersion: db.versions.get(region.channel)?.version ?? null,
    switchWanted: false,
    rollbackWanted: null,
    createdAt: now,
    readyAt: null,
    switchedAt: null,
    endedAt: null,
    revision: 1,
  }
  db.rollouts.put(row)
  db.noteChange('rollouts', row.id, row.regionId)
  return row
}

function startRollouts(
  db: MemoryDatabase,
  starts: readonly RolloutStart[],
  groupId: string | null,
): readonly Image[] {
  const inOrder = starts.toSorted((one, other) => (one.regionId < other.regionId ? -1 : 1))
  const twice = inOrder.find(({ regionId }, index) => regionId === inOrder[index + 1]?.regionId)
  if (twice !== undefined) throw refusal(`region ${twice.regionId} is named twice`)
  return inOrder.map(({ regionId, imageId, version, options }) => {
    if (db.regions.get(regionId) === undefined) throw refusal(`there is no region ${regionId}`)
    const active = activeImageOf(db, regionId)
    const leading = db.rollouts
      .values()
      .find((row) => row.regionId === regionId && isLeading(row) && row.state !== 'SWITCHED')
    const known = leading === undefined ? active : db.images.get(leading.id)
    if (known?.imageId === imageId && known.version === version) return known
    const wanted = { regionId, imageId, version }
    const image = unopenedImage(db, wanted) ?? newCandidate(db, wanted)
    if (openRollout(db, image.id, options, groupId) === undefined) followRollout(db, image.id, 'ACTIVE')
    return existing(db.images, image.id)
  })
}

type Wanted = Pick<Image, 'regionId' | 'imageId' | 'version'>

/** A CANDIDATE of it that has had no roll-out yet: it came by hand. */
function unopenedImage(db: MemoryDatabase, { regionId, imageId, version }: Wanted): Image | undefined {
  return db.images
    .where((image) => image.regionId === regionId && image.imageId === imageId && image.version === version)
    .filter(({ id, status }) => status === 'CANDIDATE' && db.rollouts.get(id) === undefined)
    .toSorted((one, other) => other.createdAt - one.createdAt)[0]
}

function newCandidate(db: MemoryDatabase, wanted: Wanted): Image {
  const image: Image = { ...wanted, id: db.newId(), status: 'CANDIDATE', createdAt: db.now(), revision: 1 }
  insertImage(db, image)
  return image
}

function steerRollout(db: MemoryDatabase, id: string, wish: RolloutWish, actor: string): Rollout | undefined {
  const rollout = db.rollouts.get(id)
  if (rollout === undefined || isOver(rollout)) return undefined
  switch (wish) {
    case 'pause':
    case 'resume':
      return updateRollout(db, rollout, { paused: wish === 'pause' })
    case 'switch':
      if (!isBeforeSwitch(rollout)) return undefined
      for (const member of membersOf(db, rollout.groupId)) {
        if (isBeforeSwitch(member)) updateRollout(db, member, { switchWanted: true })
      }
      return db.rollouts.get(id)
    case 'rollback':
      if (rollout.state === 'ROLLING_BACK') return undefined
      return updateRollout(db, rollout, {
        rollbackWanted: rollout.rollbackWanted ?? `asked for by ${actor}`,
      })
  }
}

function switchRollouts(db: MemoryDatabase, groupId: string, fence: number): readonly Rollout[] {
  if (!db.leaseIsHeld(fence)) return []
  const isDone = new Set<RolloutState>(['SWITCHED', 'DRAINING', 'DONE'])
  const isLeftOut = ({ state, options }: RolloutRow): boolean =>
    options.on_member_failure === 'leave-out' && (state === 'ROLLING_BACK' || state === 'ROLLED_BACK')
  const members = membersOf(db, groupId).filter((member) => !isDone.has(member.state) && !isLeftOut(member))
  if (members.length === 0 || !members.every((member) => maySwitch(db, member))) return []
  for (const { id, regionId, state, version } of members) {
    const isAlone = id === groupId
    db.decisions.put({
      id: `${id}:SWITCHED`,
      regionId,
      turn: existing(db.regions, regionId).turn,
      place: 0,
      causes: [],
      kind: 'rollout',
      target: id,
      reason: `${state} → SWITCHED: ${version} is ACTIVE${isAlone ? '' : ', as in all regions of its group'}`,
      inputs: {},
      repeats: 1,
      createdAt: db.now(),
      updatedAt: db.now(),
    })
  }
  return members.map((member) =>
    updateRollout(db, member, { state: 'SWITCHED', reason: 'its image is ACTIVE' }),
  )
}

function maySwitch(db: MemoryDatabase, member: RolloutRow): boolean {
  const { state, isCleared, paused, rollbackWanted, clearedVersion, regionId, wantedFree, toImage } = member
  if ((state !== 'READY' && state !== 'CANARY') || !isCleared || paused || rollbackWanted !== null)
    return false
  const { channel } = existing(db.regions, regionId)
  if (clearedVersion !== null && db.versions.get(channel)?.version !== clearedVersion) return false
  const isFree = (hostId: string): boolean => {
    const host = db.hosts.get(hostId)
    return host?.imageId === toImage && host.status === 'ACTIVE'
  }
  const free = db.agents.where((agent) => agent.status === 'WAITING' && isFree(agent.hostId))
  return wantedFree <= free.length
}

function healthOf(db: MemoryDatabase, { id, toImage }: Pick<Rollout, 'id' | 'toImage'>): RolloutHealth {
  const armOf = (arm: string) => {
    const rows = db.assignments.where(
      (row) => row.rolloutId === id && row.arm === arm && (row.runningAt !== null || row.failure !== null),
    )
    return { sessions: rows.length, failed: rows.filter((row) => row.failure !== null).length }
  }
  const hosts = db.hosts
    .where(
      ({ imageId, heartbeatAt, status, cloudId }) =>
        imageId === toImage &&
        (heartbeatAt !== null || ((status === 'TERMINATING' || status === 'TERMINATED') && cloudId !== null)),
    )
    .toSorted((one, other) => other.createdAt - one.createdAt || (one.id < other.id ? 1 : -1))
    .slice(0, 10)
  const connected = hosts.findIndex((host) => host.heartbeatAt !== null)
  return {
    candidate: armOf('candidate'),
    control: armOf('control'),
    neverConnected: connected === -1 ? hosts.length : connected,
  }
}

function membersOf(db: MemoryDatabase, groupId: string): readonly RolloutRow[] {
  return db.rollouts.where((rollout) => rollout.groupId === groupId)
}

function activeImageOf(db: MemoryDatabase, regionId: string): Image | undefined {
  return db.images.values().find((image) => image.regionId === regionId && image.status === 'ACTIVE')
}

function isBeforeSwitch({ state }: Rollout): boolean {
  return state === 'PREPARING' || state === 'READY' || state === 'CANARY'
}
