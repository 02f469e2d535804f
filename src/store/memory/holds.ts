/** What a failed launch holds back: its region's next one, and its offering (migrations `functions` and `offerings`). */
import type { MemoryDatabase } from './memory-database.ts'
import { existing } from './memory-database.ts'
import { updateRegion } from './region-rows.ts'
import type { ActionRow } from './rows.ts'

const dayMs = 24 * 3_600_000

interface Refused {
  readonly code: string
  readonly message: string | undefined
}

/** As `fleet.block_launches`: 1 s, doubling to 5 min, until a host has connected. */
export function blockLaunches(db: MemoryDatabase, regionId: string, { code, message }: Refused): void {
  const region = existing(db.regions, regionId)
  updateRegion(db, regionId, {
    launchFailures: region.launchFailures + 1,
    launchErrorCode: code,
    launchError: message ?? null,
    launchBlockedUntil: db.now() + Math.min(300, 2 ** Math.min(region.launchFailures, 20)) * 1000,
  })
}

/** As `fleet.hold_launches`: not before `until` either, when that is given. */
export function holdLaunches(
  db: MemoryDatabase,
  regionId: string,
  refused: Refused & { readonly until?: number | undefined },
): void {
  blockLaunches(db, regionId, refused)
  if (refused.until === undefined) return
  const { launchBlockedUntil } = existing(db.regions, regionId)
  const blocks = db.blockedOfferings.where((row) => row.regionId === regionId && row.until > db.now())
  const firstFree = blocks.length === 0 ? 0 : Math.min(...blocks.map((row) => row.until))
  updateRegion(db, regionId, {
    launchBlockedUntil: Math.max(launchBlockedUntil ?? 0, refused.until, firstFree),
  })
}

/** As `fleet.block_offering`: what the action asked for is not to be asked for again for so many seconds. */
export function blockOffering(
  db: MemoryDatabase,
  action: ActionRow,
  { code, message, seconds }: Refused & { readonly seconds: number },
): void {
  const { offering, regionId } = action
  if (offering === null || seconds <= 0) return
  const now = db.now()
  for (const old of db.blockedOfferings.where(
    (row) => row.regionId === regionId && row.until < now - dayMs,
  )) {
    db.blockedOfferings.delete(old.id)
    db.noteChange('blocked_offerings', old.id, regionId)
  }
  const { instanceType, zone, lifecycle } = offering
  const id = [regionId, instanceType, zone, lifecycle].join('|')
  const known = db.blockedOfferings.get(id)
  db.blockedOfferings.put({
    ...{ id, regionId, instanceType, zone, lifecycle, code },
    reason: message ?? code,
    until: Math.max(known?.until ?? 0, now + seconds * 1000),
    revision: (known?.revision ?? 0) + 1,
  })
  db.noteChange('blocked_offerings', id, regionId)
}
