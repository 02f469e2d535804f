/**
 * Small reads that many ask for at once. Alone, each is a trip to the database; while a few of one statement are under
 * way, those that come meanwhile wait for the next trip and share it. Who is alone never waits, and each still sees what
 * was committed before it asked. A cohort that the database refuses is asked one by one: one's values must not fail
 * another's.
 */
import type { Database, Parameters, TextRow } from '../database/database.ts'
import { SqlError } from '../database/database.ts'
import { cohortParameters, cohortSql } from '../sql/cohort-sql.ts'

/** Gives the statement's one row; it has parameters. @throws SqlError, MusterError as the database does */
export type JoinedRead = (sql: string, parameters: Parameters) => Promise<TextRow | undefined>

const mostTogether = 100
const mostTrips = 2

interface Asked {
  readonly parameters: Parameters
  readonly resolve: (row: TextRow | undefined) => void
  readonly reject: (error: unknown) => void
}

interface Group {
  trips: number
  readonly waiting: Asked[]
}

export function createJoinedReads(database: Pick<Database, 'query' | 'concurrency'>): JoinedRead {
  const groups = new Map<string, Group>()
  const tripsAtOnce = Math.min(mostTrips, database.concurrency)

  const alone = async (sql: string, { parameters, resolve, reject }: Asked): Promise<void> => {
    await database.query(sql, parameters).then(([row]) => resolve(row), reject)
  }

  const together = async (sql: string, asked: readonly Asked[]): Promise<void> => {
    const count = asked[0]?.parameters.length ?? 0
    const values = cohortParameters(asked.map(({ parameters }) => parameters))
    let rows: readonly TextRow[]
    try {
      rows = await database.query(cohortSql(sql, count), values)
    } catch (error) {
      if (error instanceof SqlError) for (const one of asked) await alone(sql, one)
      else for (const { reject } of asked) reject(error)
      return
    }
    for (const [place, ...row] of rows) asked[Number(place) - 1]?.resolve(row)
  }

  const travel = async (sql: string, group: Group, first: Asked): Promise<void> => {
    group.trips += 1
    await alone(sql, first)
    while (group.waiting.length > 0) {
      const asked = group.waiting.splice(0, mostTogether)
      const [only] = asked
      if (asked.length === 1 && only !== undefined) await alone(sql, only)
      else await together(sql, asked)
    }
    group.trips -= 1
    if (group.trips === 0) groups.delete(sql)
  }

  return (sql, parameters) =>
    new Promise((resolve, reject) => {
      const group = groups.get(sql) ?? { trips: 0, waiting: [] }
      groups.set(sql, group)
      const asked = { parameters, resolve, reject }
      if (group.trips < tripsAtOnce) void travel(sql, group, asked)
      else group.waiting.push(asked)
    })
}
