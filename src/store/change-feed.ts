import { mirroredTables } from './fleet-store.ts'
import type { Rows } from './fleet-store.ts'

/** One row of `fleet.changes`: where to look, never what was written. */
export interface Change {
  readonly sequence: number
  readonly table: string
  readonly rowId: string
  readonly regionId: string
}

/** A row that may have changed, by whatever means it was heard of. */
export interface RowHint {
  readonly table: keyof Rows
  readonly rowId: string
}

/** Whether the mirror holds rows of the table (without its schema). */
export function isMirrored(table: string): table is keyof Rows {
  return mirroredTables.some((name) => name === table)
}

export interface ChangeSink {
  /** Changes beyond the cursor, in order of sequence; `isFull`: the engine may have cut it. */
  batch(changes: readonly Change[], isFull: boolean): void
  /** The stream is up. What happened before it was is not in it. */
  connected(): void
  /** Something may have been missed. */
  gap(why: string): void
}

/** The outbox of row changes, as the database pushes it. */
export interface ChangeFeed {
  /** The highest sequence so far, 0 when there is none. */
  latest(): Promise<number>
  /** Changes by key: those among `sequences` that exist by now. */
  read(sequences: readonly number[]): Promise<readonly Change[]>
  /** Follow beyond what `cursor` gives at each (re)connect, until the signal is aborted. Never rejects. */
  follow(cursor: () => number, sink: ChangeSink, signal: AbortSignal): Promise<void>
}
