/** Regions in the middle of a roll-out, for the tests of what the database guards there. */
import type { RolloutState } from '../../../src/model/rollout.ts'
import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { aPlan, call } from './defence.ts'

export const region = 'local/demo'
export const other = 'local/other'

/** The way from PREPARING. */
const ways: Readonly<Record<RolloutState, readonly RolloutState[]>> = {
  PREPARING: [],
  READY: ['READY'],
  CANARY: ['READY', 'CANARY'],
  SWITCHED: ['READY', 'SWITCHED'],
  DRAINING: ['READY', 'SWITCHED', 'DRAINING'],
  DONE: ['READY', 'SWITCHED', 'DRAINING', 'DONE'],
  ROLLING_BACK: ['ROLLING_BACK'],
  ROLLED_BACK: ['ROLLING_BACK', 'ROLLED_BACK'],
}

/** Two regions, each with an ACTIVE image, and the lease. */
export async function seedRegions(fleet: FleetDatabase): Promise<void> {
  for (const id of [region, other]) await fleet.seedRegion(id)
  await fleet.takeLease()
}

/** A roll-out of a new image to version v2, brought to `state`; gives its id. */
export async function seedRollout(
  fleet: FleetDatabase,
  { state = 'PREPARING', of = region, group = null, options = {}, version = 'v2' }: Seeded = {},
): Promise<string> {
  const [image] = await start(fleet, [{ region_id: of, image_id: 'ami-2', version, options }], group)
  const id = image!['id'] as string
  await walk(fleet, id, ways[state])
  return id
}

interface Seeded {
  readonly state?: RolloutState
  readonly of?: string
  readonly group?: string | null
  readonly version?: string
  readonly options?: Readonly<Record<string, unknown>>
}

export function start(
  fleet: FleetDatabase,
  requests: readonly Readonly<Record<string, unknown>>[],
  group: string | null = null,
): Promise<readonly Row[]> {
  return call(fleet.pool, 'start_rollouts', [JSON.stringify(requests), group, 'anna'])
}

export async function walk(fleet: FleetDatabase, id: string, states: readonly RolloutState[]): Promise<void> {
  for (const state of states) {
    await fleet.sql('update fleet.rollouts set state = $2 where id = $1', [id, state])
  }
}

/** As its region's turn says that it may be switched. */
export async function clear(
  fleet: FleetDatabase,
  id: string,
  version: string | null = null,
  free = 0,
): Promise<void> {
  await fleet.sql(
    'update fleet.rollouts set is_cleared = true, cleared_version = $2, wanted_free = $3 where id = $1',
    [id, version, free],
  )
}

export async function stateOf(fleet: FleetDatabase, id: string): Promise<RolloutState> {
  const [row] = await fleet.sql('select state from fleet.rollouts where id = $1', [id])
  return row!['state'] as RolloutState
}

/** `old new` of a region: the image that it was seeded with, and the one after it. */
export async function imagesOf(fleet: FleetDatabase, of = region): Promise<string> {
  const rows = await fleet.sql(
    `select status from fleet.images where region_id = $1 order by id = $1 || '/image' desc, created_at`,
    [of],
  )
  return rows.map((row) => row['status'] as string).join(' ')
}

/** Store a turn of a region with these parts. */
export async function turnOf(
  fleet: FleetDatabase,
  of: string,
  parts: Readonly<Record<string, unknown>>,
): Promise<readonly Row[]> {
  const [row] = await fleet.sql('select turn from fleet.regions where id = $1', [of])
  return call(fleet.pool, 'commit_turn', [of, row!['turn'], 1, aPlan(parts)])
}
