/** What the mirror is filled from, and what people look at. Every answer is of one moment. */
import type { Image } from '../../model/region.ts'
import { isOver } from '../../model/rollout.ts'
import type { FleetStore, Rows } from '../fleet-store.ts'
import { agentsOf } from './agent-rows.ts'
import type { MemoryDatabase } from './memory-database.ts'
import type { DecisionRow } from './rows.ts'
import type { Table } from './table.ts'

type Reads = Pick<
  FleetStore,
  | 'fleetId'
  | 'checkSchema'
  | 'readRegionIds'
  | 'readRegion'
  | 'readRows'
  | 'readHosts'
  | 'readHost'
  | 'readDecisions'
  | 'readRegions'
>

export function createReads(db: MemoryDatabase): Reads {
  const all = (): boolean => true
  return {
    fleetId: () => Promise.resolve(db.fleetId),
    checkSchema: () => Promise.resolve(),
    readRegionIds: () => db.transact(() => db.regions.where(all).map((region) => region.id)),
    readRegion: (id) =>
      db.transact(() => {
        const region = db.regions.get(id)
        if (region === undefined) return undefined
        return {
          region,
          images: db.images.where((image) => image.regionId === id && isOfUse(db, image)),
          hosts: db.hosts.where((host) => host.regionId === id && host.status !== 'TERMINATED'),
          agents: db.agents.where((agent) => agent.regionId === id),
          blocked_offerings: db.blockedOfferings.where((block) => block.regionId === id),
          rollouts: db.rollouts.where((rollout) => rollout.regionId === id && !isOver(rollout)),
          versions: db.versions.where(all),
        }
      }),
    readRows: (ids) =>
      db.transact((): Rows => ({
        regions: rowsOf(db.regions, ids.regions),
        images: rowsOf(db.images, ids.images),
        hosts: rowsOf(db.hosts, ids.hosts),
        agents: rowsOf(db.agents, ids.agents),
        blocked_offerings: rowsOf(db.blockedOfferings, ids.blocked_offerings),
        rollouts: rowsOf(db.rollouts, ids.rollouts),
        versions: rowsOf(db.versions, ids.versions),
      })),
    readHosts: ({ includeTerminated }) =>
      db.transact(() =>
        db.hosts
          .where((host) => includeTerminated || host.status !== 'TERMINATED')
          .toSorted((one, other) =>
            one.regionId === other.regionId ? 0 : one.regionId < other.regionId ? -1 : 1,
          ),
      ),
    readHost: (id) =>
      db.transact(() => {
        const host = db.hosts.get(id)
        return host === undefined ? undefined : { ...host, agents: agentsOf(db, id) }
      }),
    readDecisions: ({ region, target, limit }) =>
      db.transact(() =>
        db.decisions
          .where((row) => (region ?? row.regionId) === row.regionId && (target ?? row.target) === row.target)
          .toSorted(newestFirst)
          .slice(0, limit),
      ),
    readRegions: () => db.transact(() => db.regions.where(all)),
  }
}

/** A RETIRED image is one as long as a host of it stands, or an open roll-out may lead back to it. */
function isOfUse(db: MemoryDatabase, { id, status }: Image): boolean {
  if (status !== 'RETIRED') return true
  if (db.rollouts.values().some((rollout) => rollout.fromImage === id && !isOver(rollout))) return true
  return db.hosts.values().some((host) => host.imageId === id && host.status !== 'TERMINATED')
}

function rowsOf<Row extends { readonly id: string }>(
  table: Table<Row>,
  ids: readonly string[] = [],
): readonly Row[] {
  return [...new Set(ids)].map((id) => table.get(id)).filter((row) => row !== undefined)
}

function newestFirst(one: DecisionRow, other: DecisionRow): number {
  return other.updatedAt - one.updatedAt || other.turn - one.turn || other.place - one.place
}
