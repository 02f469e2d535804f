import type { FleetStore } from '../fleet-store.ts'
import { isOpen } from './actions.ts'
import type { MemoryDatabase } from './memory-database.ts'
import { updateRegion } from './region-rows.ts'

type SweepStore = Pick<FleetStore, 'readSweepRows' | 'confirmSweep'>

export function createSweepStore(db: MemoryDatabase): SweepStore {
  return {
    readSweepRows: (regionId, machines) =>
      db.transact(() => {
        const openActions = db.actions.where((action) => action.regionId === regionId && isOpen(action))
        const hosts = db.hosts.where((host) => host.regionId === regionId && host.status !== 'TERMINATED')
        const bound = new Set(hosts.map((host) => host.cloudId))
        const unbound = machines.filter(({ cloudId }) => !bound.has(cloudId))
        const strangers = new Set(unbound.map((machine) => machine.cloudId))
        const launchIds = new Set(unbound.map((machine) => machine.launchId))
        if (strangers.size === 0)
          return { openActions, hosts, named: [], launches: [], oldestRowAt: undefined }
        const all = [...db.hosts.values()]
        return {
          ...{ openActions, hosts },
          named: all.flatMap(({ id, cloudId, status }) =>
            cloudId !== null && strangers.has(cloudId) ? { id, cloudId, status } : [],
          ),
          launches: [...new Set(all.flatMap(({ launchId }) => launchId ?? []))]
            .filter((launchId) => launchIds.has(launchId))
            .sort(),
          oldestRowAt: all.length === 0 ? undefined : Math.min(...all.map((host) => host.createdAt)),
        }
      }),
    confirmSweep: (regionId, seconds) =>
      db.transact(() => {
        if (db.regions.get(regionId) === undefined) return false
        updateRegion(db, regionId, { sweepConfirmedUntil: db.now() + seconds * 1000 })
        return true
      }),
  }
}
