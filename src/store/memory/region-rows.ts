import type { MemoryDatabase } from './memory-database.ts'
import { differs, existing } from './memory-database.ts'
import { refusal } from './refusal.ts'
import { isLeading } from '../../model/rollout.ts'
import type { ImageRow, RegionRow } from './rows.ts'

/** @throws MusterError `database-refused` */
export function insertRegion(db: MemoryDatabase, region: RegionRow): void {
  check(region)
  if (db.regions.get(region.id) !== undefined) throw refusal('regions_pkey')
  // Ids of decisions hold region and turn: a region that is made anew goes on counting.
  const decided = db.decisions.values().filter((row) => row.regionId === region.id)
  const turn = decided.reduce((most, row) => Math.max(most, row.turn + 1), region.turn)
  db.regions.put({ ...region, turn })
  db.noteChange('regions', region.id, region.id)
}

/** Every update counts as a revision; the counting of turns, and of what they ended, is no news. @throws MusterError `database-refused` */
export function updateRegion(db: MemoryDatabase, id: string, changes: Partial<RegionRow>): RegionRow {
  const was = existing(db.regions, id)
  const given = { ...was, ...changes, id, revision: was.revision + 1 }
  const row = { ...given, agentsPerHost: given.agentsPerHostGiven ?? given.agentsPerHostDiscovered ?? 1 }
  if (row.provider !== was.provider && db.hosts.values().some((host) => isOfRegion(host, id))) {
    throw refusal(`region ${id}: its provider may change once its hosts have ended`)
  }
  check(row)
  db.regions.put(row)
  if (differs(was, { ...changes, turn: was.turn, endings: was.endings })) db.noteChange('regions', id, id)
  return row
}

/** @throws MusterError `database-refused` */
export function insertImage(db: MemoryDatabase, image: ImageRow): void {
  if (db.images.get(image.id) !== undefined) throw refusal('images_pkey')
  existing(db.regions, image.regionId)
  checkOneActive(db, image)
  db.images.put(image)
  db.noteChange('images', image.id, image.regionId)
}

/**
 * By hand: CANDIDATE → ACTIVE → RETIRED, or straight to RETIRED; never of what a roll-out leads from or to.
 * @throws MusterError `database-refused`
 */
export function setImageStatus(db: MemoryDatabase, id: string, status: ImageRow['status']): void {
  const was = existing(db.images, id)
  const isLegal = was.status === 'CANDIDATE' || (was.status === 'ACTIVE' && status === 'RETIRED')
  if (status !== was.status) {
    if (!isLegal || (was.status === 'CANDIDATE' && status === 'CANDIDATE'))
      throw refusal(`image ${id} may not go from ${was.status} to ${status}`)
    const rollout = db.rollouts
      .values()
      .find((row) => isLeading(row) && (row.fromImage === id || row.toImage === id))
    if (rollout !== undefined) throw refusal(`image ${id} is part of roll-out ${rollout.id}`)
  }
  followRollout(db, id, status)
}

/** What a roll-out's step does to its images. */
export function followRollout(db: MemoryDatabase, id: string, status: ImageRow['status']): void {
  const was = existing(db.images, id)
  const row = { ...was, status, revision: was.revision + 1 }
  checkOneActive(db, row)
  db.images.put(row)
  db.noteChange('images', id, row.regionId)
}

function isOfRegion(host: { readonly regionId: string; readonly status: string }, id: string): boolean {
  return host.regionId === id && host.status !== 'TERMINATED'
}

function check(region: RegionRow): void {
  const { minHosts, maxHosts, targetFreeAgents, maxSurgeHosts, agentsPerHost, maxAgentsPerUser } = region
  const isWithin =
    Math.min(minHosts, targetFreeAgents, maxSurgeHosts) >= 0 &&
    minHosts <= maxHosts &&
    Math.min(agentsPerHost, maxAgentsPerUser) >= 1
  if (!isWithin) throw refusal('regions_check')
}

function checkOneActive(db: MemoryDatabase, image: ImageRow): void {
  if (image.status !== 'ACTIVE') return
  const isSecond = (other: ImageRow): boolean =>
    other.id !== image.id && other.regionId === image.regionId && other.status === 'ACTIVE'
  if (db.images.values().some(isSecond)) throw refusal('images_one_active')
}
