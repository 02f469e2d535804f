/**
 * The fleet's tables in memory. Rows are written through host-rows.ts, agent-rows.ts and region-rows.ts only, which do
 * what the real database's CHECKs, indexes and triggers do (config/hasura/migrations); a test compares the two, operation
 * by operation.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Change } from '../change-feed.ts'
import { refusal } from './refusal.ts'
import type {
  ActionRow,
  AgentRow,
  AssignmentRow,
  BackendRow,
  BlockRow,
  DecisionRow,
  HostRow,
  ImageRow,
  LeaseRow,
  LogRow,
  RegionRow,
  RolloutRow,
  TokenRow,
  VersionRow,
} from './rows.ts'
import { Journal, Table } from './table.ts'

interface DatedChange extends Change {
  readonly at: number
}

export class MemoryDatabase {
  readonly fleetId: string
  readonly #clock: Pick<Clock, 'now'>
  readonly #journal = new Journal()
  readonly regions = new Table<RegionRow>(this.#journal)
  readonly images = new Table<ImageRow>(this.#journal)
  readonly hosts = new Table<HostRow>(this.#journal)
  readonly agents = new Table<AgentRow>(this.#journal)
  readonly assignments = new Table<AssignmentRow>(this.#journal)
  readonly decisions = new Table<DecisionRow>(this.#journal)
  readonly actions = new Table<ActionRow>(this.#journal)
  readonly actionLogs = new Table<LogRow>(this.#journal)
  readonly blockedOfferings = new Table<BlockRow>(this.#journal)
  readonly rollouts = new Table<RolloutRow>(this.#journal)
  readonly versions = new Table<VersionRow>(this.#journal)
  readonly tokens = new Table<TokenRow>(this.#journal)
  readonly backends = new Table<BackendRow>(this.#journal)
  #lease: LeaseRow | undefined
  #changes: DatedChange[] = []
  #sequence = 0
  #ids = 0
  readonly #listeners = new Set<(changes: readonly Change[]) => void>()

  constructor(clock: Pick<Clock, 'now'>, fleetId: string) {
    this.#clock = clock
    this.fleetId = fleetId
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.#clock.now()
  }

  newId(): string {
    return `row-${(this.#ids += 1)}`
  }

  /** One transaction: all of it, or nothing when it throws. Whoever listens hears of it once it is over. */
  async transact<T>(work: () => T): Promise<T> {
    // As over any wire, the answer comes later than the call returns.
    await Promise.resolve()
    const drawn = this.#sequence
    let result: T
    try {
      result = this.#journal.atomically(work)
    } catch (error) {
      // Numbers that were drawn stay drawn: the outbox has a hole.
      this.#changes = this.#changes.filter((change) => change.sequence <= drawn)
      throw error
    }
    if (this.#sequence > drawn) {
      const news = this.changesAfter(drawn)
      for (const listener of this.#listeners) listener(news)
    }
    return result
  }

  get lease(): LeaseRow | undefined {
    return this.#lease
  }

  set lease(lease: LeaseRow | undefined) {
    const before = this.#lease
    this.#lease = lease
    this.#journal.note(() => (this.#lease = before))
  }

  leaseIsHeld(fence: number): boolean {
    return this.#lease?.fence === fence && this.#lease.expiresAt > this.now()
  }

  /** @throws MusterError `database-refused` */
  demandLease(fence: number): void {
    if (!this.leaseIsHeld(fence)) throw refusal(`the lease is not held with fence ${fence}`)
  }

  noteChange(table: string, rowId: string, regionId: string): void {
    this.#changes.push({ sequence: (this.#sequence += 1), table, rowId, regionId, at: this.now() })
  }

  get latestChange(): number {
    return this.#changes.at(-1)?.sequence ?? 0
  }

  /** Beyond the sequence, in its order. */
  changesAfter(sequence: number): readonly Change[] {
    const { length } = this.#changes
    let from = length
    while (from > 0 && (this.#changes[from - 1]?.sequence ?? 0) > sequence) from -= 1
    return this.#changes.slice(from)
  }

  changesOf(sequences: readonly number[]): readonly Change[] {
    const wanted = new Set(sequences)
    return this.#changes.filter((change) => wanted.has(change.sequence))
  }

  /** Calls back after each transaction that changed rows; gives a function that ends it. */
  onChanges(listener: (changes: readonly Change[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Forget what was noted before this moment, in milliseconds since the epoch. */
  forgetChanges(before: number): void {
    this.#changes = this.#changes.filter((change) => change.at >= before)
  }
}

/** The row of this id. @throws MusterError `database-refused`, as a foreign key */
export function existing<Row extends { readonly id: string }>(table: Table<Row>, id: string): Row {
  const row = table.get(id)
  if (row === undefined) throw refusal(`there is no row ${id}`)
  return row
}

/** Whether the changes leave something else than it was. */
export function differs<Row extends object>(was: Row, changes: Partial<Row>): boolean {
  return (Object.keys(changes) as (keyof Row)[]).some(
    (key) => was[key] !== changes[key] && JSON.stringify(was[key]) !== JSON.stringify(changes[key]),
  )
}
