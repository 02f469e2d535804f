/** What a random operation of a FleetStore is. */
import fc from 'fast-check'

import type { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import type { Side } from './store-sides.ts'

/** Called on both sides with the same arguments. */
export type Call = (side: Side) => Promise<unknown>

export interface Operation {
  readonly kind: string
  /** Looks at the rows in memory, as they are before the call. */
  prepare(db: MemoryDatabase): Call
}

/** All there are. */
export const operationKinds: string[] = []

export function operation<T extends readonly unknown[]>(
  kind: string,
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  prepare: (db: MemoryDatabase, ...drawn: T) => Call,
): fc.Arbitrary<Operation> {
  if (!operationKinds.includes(kind)) operationKinds.push(kind)
  const drawn = fc.tuple(...(arbitraries as unknown as fc.Arbitrary<unknown>[]))
  return drawn.map((values) => ({
    kind,
    prepare: (db) => prepare(db, ...(values as unknown as T)),
    [fc.toStringMethod]: () => `${kind}(${values.map((value) => JSON.stringify(value)).join(', ')})`,
  }))
}

/** Ours, but now and then another's. */
export const fenceOf = (db: MemoryDatabase, luck: number): number =>
  (db.lease?.fence ?? 1) + (luck < 8 ? 1 : 0)
