/** The store in memory and the real one, side by side: the same calls, the same hand-written rows, the same dump. */
import { createHasuraClient } from '../../src/hasura/client.ts'
import { createHasuraStore } from '../../src/hasura/hasura-store.ts'
import { blockedOfferingRow, imageRow, regionRow } from '../../src/hasura/region-rows.ts'
import { rolloutRow, versionRow } from '../../src/hasura/rollout-rows.ts'
import { actionRow, agentRow, assignmentRow, columns, decisionRow, hostRow } from '../../src/hasura/rows.ts'
import { createHasuraTrustStore } from '../../src/hasura/trust-store.ts'
import type { Host } from '../../src/model/host.ts'
import type { ImageStatus, Region } from '../../src/model/region.ts'
import type { ChannelVersion, Rollout } from '../../src/model/rollout.ts'
import type { FleetStore } from '../../src/store/fleet-store.ts'
import { updateHost } from '../../src/store/memory/host-rows.ts'
import { redeemToken } from '../../src/store/memory/launch-tokens.ts'
import { existing, MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import { createMemoryStore } from '../../src/store/memory/memory-store.ts'
import {
  insertImage,
  insertRegion,
  setImageStatus,
  updateRegion,
} from '../../src/store/memory/region-rows.ts'
import { setVersion, updateRollout } from '../../src/store/memory/rollouts.ts'
import type { Redemption } from '../../src/store/trust-store.ts'
import type { AnEndpoint } from './an-endpoint.ts'
import { adminSecret } from './an-endpoint.ts'
import { anImage, aRegion } from './factories.ts'

export interface Side {
  readonly store: FleetStore
  /** Gives the id of the host. */
  redeem(redemption: Redemption, fence: number): Promise<string | undefined>
  /** In the order in which they were made. */
  readonly assignmentIds: string[]
  setHost(id: string, changes: Partial<Pick<Host, 'status' | 'protected' | 'reason'>>): Promise<void>
  setRegion(id: string, changes: RegionChanges): Promise<void>
  insertImage(id: string, regionId: string, status: ImageStatus): Promise<void>
  setImage(id: string, status: ImageStatus): Promise<void>
  /** Undefined: nobody says any more what the clients of the channel have. */
  setVersion(channel: string, version: string | undefined): Promise<void>
  setRollout(id: string, wish: RolloutWishes): Promise<void>
  /** Of images that got their id from the database, in the order in which they were made. */
  readonly startedImages: string[]
  /** What was drawn from the rows in memory, with this side's ids of images. */
  readonly own: <T>(drawn: T) => T
  /** With names of those images that both sides have, without what differs by nature. */
  readonly alike: (value: unknown) => unknown
  /** Such rows as text, in order. */
  readonly named: (rows: readonly object[]) => readonly string[]
  /** Every row that the daemon reads or writes, without moments of the database's own clock; in order. */
  dump(): Promise<Dump>
}

export type RolloutWishes = Partial<Pick<Rollout, 'paused' | 'switchWanted' | 'rollbackWanted'>>

export type Dump = Readonly<Record<string, readonly string[]>>
export type RegionChanges = Partial<
  Pick<
    Region,
    | 'enabled'
    | 'minHosts'
    | 'maxHosts'
    | 'maxSurgeHosts'
    | 'maxAgentsPerUser'
    | 'options'
    | 'agentsPerHostGiven'
  >
>

export const regionId = 'fake/one'
export const imageId = 'fake/one:image'
/** Without hosts: its roll-outs are bound to the other's. */
export const otherRegionId = 'fake/two'
/** Moments that are handed in, which can be told from those of the database's own clock. */
export const knownMoments = [1_000, Date.UTC(2200, 0)] as const

const regionToSeed = aRegion({
  id: regionId,
  provider: 'fake',
  turn: 0,
  maxHosts: 6,
  maxSurgeHosts: 1,
  revision: 1,
})
const imageToSeed = anImage({ id: imageId, regionId, imageId: 'v1', version: 'v1' })
const otherRegion = { ...regionToSeed, id: otherRegionId }
const otherImage = anImage({ ...imageToSeed, id: `${otherRegionId}:image`, regionId: otherRegionId })
const seeds = [
  [regionToSeed, imageToSeed],
  [otherRegion, otherImage],
] as const

/** Revisions of versions rise as each side likes. */
export function unnumbered({ id, version }: ChannelVersion): ChannelVersion {
  return { id, version, revision: 0 }
}

export async function memorySide(now: () => number): Promise<Side & { readonly db: MemoryDatabase }> {
  const db = new MemoryDatabase({ now }, 'fleet')
  await db.transact(() => {
    for (const [region, image] of seeds) {
      insertRegion(db, region)
      insertImage(db, image)
    }
  })
  let heard = db.latestChange
  const startedImages: string[] = []
  const { alike, named } = namesOf(startedImages)
  return {
    startedImages,
    ...{ alike, named },
    own: (drawn) => drawn,
    setVersion: (channel, version) => db.transact(() => setVersion(db, channel, version)),
    setRollout: (id, wish) =>
      db.transact(() => {
        const rollout = db.rollouts.get(id)
        if (rollout !== undefined) updateRollout(db, rollout, wish)
      }),
    db,
    store: createMemoryStore(db),
    redeem: async (redemption, fence) => (await redeemToken(db, redemption, fence))?.id,
    assignmentIds: [],
    setHost: (id, changes) =>
      db.transact(() => {
        const host = db.hosts.get(id)
        if (host !== undefined) updateHost(db, host, changes)
      }),
    setRegion: (id, changes) => db.transact(() => void updateRegion(db, id, changes)),
    insertImage: (id, region, status) =>
      db.transact(() => insertImage(db, anImage({ id, regionId: existing(db.regions, region).id, status }))),
    setImage: (id, status) =>
      db.transact(() => {
        if (db.images.get(id) !== undefined) setImageStatus(db, id, status)
      }),
    dump: async () => {
      const changes = db.changesAfter(heard)
      heard = db.latestChange
      const all = () => true
      return texts(named, {
        rollouts: db.rollouts.where(all).map((row) => ({ ...row, haltedAt: row.pausedAt })),
        versions: db.versions.where(all).map(unnumbered),
        regions: db.regions.where(all),
        images: db.images.where(all),
        hosts: db.hosts.where(all),
        agents: db.agents.where(all).map(({ failure: whyFailed, ...row }) => ({ ...row, whyFailed })),
        blocked_offerings: db.blockedOfferings.where(all),
        assignments: db.assignments.where(all),
        decisions: db.decisions.where(all),
        actions: db.actions.where(all).map(({ decisionId: _, createdAt: __, ...row }) => row),
        action_logs: db.actionLogs.where(all).map(({ id: _, ...row }) => row),
        tokens: db.tokens.where(all).map(({ expiresAt: _, secretHash: __, ...row }) => row),
        backends: db.backends.where(all).map(({ id, status, spkiHash }) => ({ id, status, spkiHash })),
        changes,
      })
    },
  }
}

/** The rows of the endpoint are deleted first. */
export async function realSide(
  fleet: AnEndpoint,
  now: () => number,
  memory: Pick<Side, 'startedImages'>,
): Promise<Side> {
  const { url, fetch } = fleet.endpoint
  const client = createHasuraClient({ url, adminSecret, fetch })
  const trust = createHasuraTrustStore(client)
  await client.request(
    `mutation { ${emptied.map((table) => `${table}: delete_fleet_${table}(where: {}) { affected_rows }`).join(' ')} }`,
  )
  for (const [region, image] of seeds) {
    await client.request(documents.seed, {
      region: {
        ...columnsOf(region, ['id', 'provider', 'algorithm', 'options', 'channel', 'turn', 'enabled']),
        ...columnsOf(region, ['targetFreeAgents', 'minHosts', 'maxHosts', 'maxSurgeHosts']),
        ...columnsOf(region, ['instanceTypes', 'agentsPerHostGiven', 'maxAgentsPerUser', 'providerOptions']),
      },
      image: columnsOf(image, ['id', 'regionId', 'imageId', 'version', 'status']),
    })
  }
  const latest = async () =>
    (await client.request<{ changes: Row[] }>(documents.changes, { after: 0 })).changes.at(-1)
  let heard = Number((await latest())?.['sequence'] ?? 0)
  const startedImages: string[] = []
  const { alike, named } = namesOf(startedImages)
  return {
    startedImages,
    ...{ alike, named },
    own: (drawn) => translated(drawn, memory.startedImages, startedImages),
    setVersion: async (channel, version) => {
      if (version === undefined) await client.request(documents.deleteVersion, { channel })
      else await client.request(documents.setVersion, { row: { channel, version } })
    },
    setRollout: async (id, wish) => {
      await client.request(documents.setRollout, { id, set: columnsOf(wish) })
    },
    store: createHasuraStore(client, now),
    redeem: async (redemption, fence) => (await trust.redeemToken(redemption, fence))?.id,
    assignmentIds: [],
    setHost: async (id, changes) => {
      await client.request(documents.setHost, { id, set: columnsOf(changes) })
    },
    setRegion: async (id, changes) => {
      await client.request(documents.setRegion, { id, set: columnsOf(changes) })
    },
    insertImage: async (id, region, status) => {
      const row = anImage({ id, regionId: region, status })
      const image = columnsOf(row, ['id', 'regionId', 'imageId', 'version', 'status'])
      await client.request(documents.insertImage, { image })
    },
    setImage: async (id, status) => {
      await client.request(documents.setImage, { id, set: { status } })
    },
    dump: async () => {
      const answer = await client.request<Record<string, Row[]>>(documents.dump, { after: heard })
      const of = (table: string): readonly Row[] => answer[table] ?? []
      heard = Number(of('changes').at(-1)?.['sequence'] ?? heard)
      return texts(named, {
        rollouts: of('rollouts').map((row) => ({ ...rolloutRow.parse(row), haltedAt: row['paused_at'] })),
        versions: of('versions').map((row) => unnumbered(versionRow.parse(row))),
        regions: of('regions').map((row) => regionRow.parse(row)),
        images: of('images').map((row) => imageRow.parse(row)),
        hosts: of('hosts').map((row) => hostRow.parse(row)),
        agents: of('agents').map((row) => ({ ...agentRow.parse(row), whyFailed: row['failure'] })),
        blocked_offerings: of('blocked_offerings').map((row) => blockedOfferingRow.parse(row)),
        assignments: of('assignments').map(({ demand_region_id, version, running_at, ...row }) => ({
          ...assignmentRow.parse(row),
          demandRegionId: demand_region_id,
          version,
          runningAt: running_at,
        })),
        decisions: of('decisions').map((row) => decisionRow.parse(row)),
        actions: of('actions').map(
          ({ error_code, error, offering, request, is_calling, is_repeat, ...row }) => ({
            ...actionRow.parse({ ...row, offering, request }),
            params: row['params'],
            ...{
              offering,
              request,
              isCalling: is_calling,
              isRepeat: is_repeat,
              errorCode: error_code,
              error,
            },
          }),
        ),
        action_logs: of('action_logs').map(({ action_id, ...row }) => ({ actionId: action_id, ...row })),
        tokens: of('tokens').map(({ launch_id, ...row }) => ({ launchId: launch_id, ...row })),
        backends: of('backends').map(({ enrolled_spki_hash, ...row }) => ({
          ...row,
          spkiHash: enrolled_spki_hash,
        })),
        changes: of('changes')
          .filter((row) => row['table_name'] !== 'backends')
          .map((row) => ({ table: row['table_name'], rowId: row['row_id'], regionId: row['region_id'] })),
      })
    },
  }
}

type Row = Record<string, unknown>

// In the order in which they may go.
const emptied = [
  ...[
    'backends',
    'enrolment_tokens',
    'assignments',
    'decisions',
    'action_logs',
    'actions',
    'agents',
    'hosts',
  ],
  ...['rollouts', 'versions', 'images', 'regions', 'leases', 'changes'],
]

const documents = {
  seed: `mutation ($region: fleet_regions_insert_input!, $image: fleet_images_insert_input!) {
    insert_fleet_regions_one(object: $region) { id } insert_fleet_images_one(object: $image) { id } }`,
  setHost: `mutation ($id: String!, $set: fleet_hosts_set_input!) {
    update_fleet_hosts(where: {id: {_eq: $id}}, _set: $set) { affected_rows } }`,
  setRegion: `mutation ($id: String!, $set: fleet_regions_set_input!) {
    update_fleet_regions(where: {id: {_eq: $id}}, _set: $set) { affected_rows } }`,
  insertImage:
    'mutation ($image: fleet_images_insert_input!) { insert_fleet_images_one(object: $image) { id } }',
  setImage: `mutation ($id: String!, $set: fleet_images_set_input!) {
    update_fleet_images(where: {id: {_eq: $id}}, _set: $set) { affected_rows } }`,
  setVersion: `mutation ($row: fleet_versions_insert_input!) { insert_fleet_versions_one(object: $row,
    on_conflict: {constraint: versions_pkey, update_columns: [version]}) { id } }`,
  deleteVersion: `mutation ($channel: String!) {
    delete_fleet_versions(where: {channel: {_eq: $channel}}) { affected_rows } }`,
  setRollout: `mutation ($id: String!, $set: fleet_rollouts_set_input!) {
    update_fleet_rollouts(where: {id: {_eq: $id}}, _set: $set) { affected_rows } }`,
  changes: `query ($after: bigint!) {
    changes: fleet_changes(where: {sequence: {_gt: $after}}, order_by: {sequence: asc}) { sequence } }`,
  dump: `query ($after: bigint!) {
    rollouts: fleet_rollouts { ${columns.rollouts} paused_at } versions: fleet_versions { ${columns.versions} }
    regions: fleet_regions { ${columns.regions} } images: fleet_images { ${columns.images} }
    hosts: fleet_hosts { ${columns.hosts} } agents: fleet_agents { ${columns.agents} failure }
    blocked_offerings: fleet_blocked_offerings { ${columns.blocked_offerings} }
    assignments: fleet_assignments { ${columns.assignments} demand_region_id version running_at }
    decisions: fleet_decisions { ${columns.decisions} } actions: fleet_actions { ${columns.actions} is_calling error_code error }
    action_logs: fleet_action_logs { action_id sequence level message }
    tokens: fleet_enrolment_tokens { id launch_id uses used }
    backends: fleet_backends { id status enrolled_spki_hash }
    changes: fleet_changes(where: {sequence: {_gt: $after}}, order_by: {sequence: asc}) { sequence table_name row_id region_id } }`,
} as const

function columnsOf(row: object, names: readonly string[] = Object.keys(row)): Row {
  return Object.fromEntries(
    names.map((name) => [
      name.replace('Given', '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      (row as Readonly<Record<string, unknown>>)[name],
    ]),
  )
}

function texts(named: Side['named'], tables: Readonly<Record<string, readonly object[]>>): Dump {
  return Object.fromEntries(Object.entries(tables).map(([name, rows]) => [name, named(rows)]))
}

/** Images are called by their place among those that were started. */
function namesOf(startedImages: readonly string[]): Pick<Side, 'alike' | 'named'> {
  const alike = (value: unknown): unknown => {
    const names = startedImages.map((_, place) => `started-${place}`)
    return translated(comparable(value), startedImages, names)
  }
  return { alike, named: (rows) => rows.map((row) => JSON.stringify(alike(row))).sort() }
}

/** The same with other names: those at the same place. */
function translated<T>(value: T, from: readonly string[], to: readonly string[]): T {
  if (from.length === 0 || value === undefined) return value
  const names = new RegExp(`\\b(${from.join('|')})\\b`, 'g')
  return JSON.parse(JSON.stringify(value).replace(names, (name) => to[from.indexOf(name)]!)) as T
}

const ownClock = new Set(['at', 'statusSince', 'stateSince', 'createdAt', 'updatedAt', 'sequence'])
const momentsOfCalls = new Set(['requestedAt', 'nextAttemptAt'])

/** Without ids and moments that each database draws for itself; of those moments it stays whether there is one. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const row = value as Readonly<Record<string, unknown>>
  const isAssignment = 'outcome' in row && 'idempotencyKey' in row
  // Columns that only the database reads, which a row in memory may show.
  const isHidden = (key: string) => key === 'pausedAt' || (key === 'failure' && 'userSlot' in row)
  return Object.fromEntries(
    Object.entries(row)
      .filter(([key, field]) => field !== undefined && !ownClock.has(key) && !isHidden(key))
      .filter(([key]) => !(isAssignment && key === 'id'))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, field]) => [key, comparableField(key, field)]),
  )
}

function comparableField(key: string, field: unknown): unknown {
  if (field === null || momentsOfCalls.has(key)) return field
  if (!/(At|[uU]ntil)$/.test(key)) return comparable(field)
  return knownMoments.find((beat) => beat === field) ?? 'some time'
}
