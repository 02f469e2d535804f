import type { Lease } from '../fleet-store.ts'
import type { MemoryDatabase } from './memory-database.ts'

/** As `fleet.take_lease`. */
export function takeLease(db: MemoryDatabase, holder: string, seconds: number): Lease | undefined {
  const { lease } = db
  const expiresAt = db.now() + seconds * 1000
  if (lease !== undefined && lease.holder !== holder && lease.expiresAt > db.now()) return undefined
  const fence = lease === undefined ? 1 : lease.holder === holder ? lease.fence : lease.fence + 1
  db.lease = { holder, fence, expiresAt }
  return { holder, fence }
}

/** As `fleet.release_lease`. */
export function releaseLease(db: MemoryDatabase, holder: string, fence: number): void {
  const { lease } = db
  if (lease?.holder !== holder || lease.fence !== fence) return
  db.lease = { ...lease, expiresAt: db.now() }
}
