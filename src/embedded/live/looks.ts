/**
 * The looks of all followers at the database. Those at one thing that are wanted at one time share statements; a
 * statement that took long is not begun again before as long a rest, so that writers and requests have their share.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Database, Parameters, TextRow } from '../database/database.ts'
import { SqlError } from '../database/database.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import { cohortParameters, cohortSql } from '../sql/cohort-sql.ts'
import { createLimiter } from './limiter.ts'
import type { Look } from './subscription.ts'

/** Gives the look's row. @throws HasuraError */
export type LookAt = (look: Look) => Promise<TextRow | undefined>

/** As many cohorts as Hasura takes together by default. */
const mostTogether = 100
/** What is quicker needs no rest; what is slower rests for as long as it took, at most so long. */
const quickMs = 20
const longestRestMs = 1_000

interface Wanted {
  readonly look: Look
  readonly resolve: (row: TextRow | undefined) => void
  readonly reject: (error: unknown) => void
}

interface Queue {
  wanted: Wanted[]
  isArmed: boolean
  /** Statements that are to take from the wanted, once it is their turn. */
  pending: number
  restsUntil: number
}

export function createLooks(database: Database, clock: Clock): LookAt {
  const queues = new Map<string, Queue>()
  // Most of the pool is left to requests.
  const limit = createLimiter(Math.max(1, Math.min(4, Math.floor(database.concurrency / 2))))

  const query = async (queue: Queue, sql: string, parameters: Parameters): Promise<readonly TextRow[]> => {
    const began = clock.now()
    const rows = await database.query(sql, parameters)
    const took = clock.now() - began
    if (took > quickMs) queue.restsUntil = clock.now() + Math.min(took, longestRestMs)
    return rows
  }

  const alone = async (queue: Queue, wanted: readonly Wanted[]): Promise<void> => {
    for (const { look, resolve, reject } of wanted) {
      await query(queue, look.sql, look.parameters).then(
        ([row]) => resolve(row),
        (error: unknown) => reject(hasuraErrorOf(error)),
      )
    }
  }

  const together = async (queue: Queue, wanted: readonly Wanted[]): Promise<void> => {
    const [first] = wanted
    if (first === undefined) return
    const { sql, parameters } = first.look
    // Without values all would be one look, and are one watch.
    if (parameters.length === 0) {
      await alone(queue, wanted)
      return
    }
    try {
      const values = cohortParameters(wanted.map(({ look }) => look.parameters))
      const rows = await query(queue, cohortSql(sql, parameters.length), values)
      const byPlace = new Map(rows.map(([place, ...row]) => [Number(place), row]))
      wanted.forEach(({ resolve }, index) => resolve(byPlace.get(index + 1)))
    } catch (error) {
      // One whose values are refused must not fail the others.
      if (error instanceof SqlError && wanted.length > 1) await alone(queue, wanted)
      else for (const { reject } of wanted) reject(hasuraErrorOf(error))
    }
  }

  /** Takes as late as it can: what is wanted while others run comes along. */
  const take = async (sql: string, queue: Queue): Promise<void> => {
    await limit(async () => {
      queue.pending -= 1
      await together(queue, queue.wanted.splice(0, mostTogether))
    })
    forget(sql, queue)
  }

  const begin = (sql: string, queue: Queue): void => {
    queue.isArmed = false
    while (queue.pending * mostTogether < queue.wanted.length) {
      queue.pending += 1
      void take(sql, queue)
    }
  }

  /** Statements are as many as clients think of: only those in use and those that rest are kept. */
  const forget = (sql: string, queue: Queue): void => {
    if (queue.isArmed || queue.pending > 0 || queue.wanted.length > 0) return
    const rest = queue.restsUntil - clock.now()
    if (rest > 0) clock.after(rest, () => forget(sql, queue))
    else queues.delete(sql)
  }

  const arm = (sql: string, queue: Queue): void => {
    if (queue.isArmed) return
    queue.isArmed = true
    const rest = queue.restsUntil - clock.now()
    if (rest > 0) clock.after(rest, () => begin(sql, queue))
    // All that one notification wakes come before it.
    else queueMicrotask(() => begin(sql, queue))
  }

  return (look) =>
    new Promise((resolve, reject) => {
      const queue = queues.get(look.sql) ?? { wanted: [], isArmed: false, pending: 0, restsUntil: 0 }
      queues.set(look.sql, queue)
      queue.wanted.push({ look, resolve, reject })
      arm(look.sql, queue)
    })
}
