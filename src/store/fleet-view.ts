import type { RegionSnapshot } from '../model/snapshot.ts'

/**
 * The fleet as this daemon holds it in memory: a snapshot costs no query. Rows may be a moment behind the database,
 * never wrong for long; whoever acts on them writes guarded.
 */
export interface FleetView {
  readonly regionIds: readonly string[]
  /** Undefined for a region that has no row. */
  snapshot(regionId: string): RegionSnapshot | undefined
  /** Calls back after a region's rows changed; gives a function that ends it. */
  onChange(listener: (regionId: string) => void): () => void
}
