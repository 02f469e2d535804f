import { describe, expect, it } from 'vitest'

import type { Parameters, TextRow } from '../../../../src/embedded/database/database.ts'
import { SqlError } from '../../../../src/embedded/database/database.ts'
import { createJoinedReads } from '../../../../src/embedded/execution/joined-reads.ts'

/** A database whose statements are answered when the test says so. */
function aDatabase() {
  const trips: {
    readonly sql: string
    readonly parameters: Parameters
    end(answer: readonly TextRow[] | Error): Promise<void>
  }[] = []
  return {
    trips,
    concurrency: 16,
    query: (sql: string, parameters: Parameters = []) =>
      new Promise<readonly TextRow[]>((resolve, reject) => {
        const end = async (answer: readonly TextRow[] | Error): Promise<void> => {
          if (answer instanceof Error) reject(answer)
          else resolve(answer)
          await new Promise(setImmediate)
        }
        trips.push({ sql, parameters, end })
      }),
  }
}

const sql = 'select (select 1 where $1::text = $1::text)::text'

describe('joined reads', () => {
  it('lets two travel alone, and takes all who come meanwhile on the next trip', async () => {
    const database = aDatabase()
    const read = createJoinedReads(database)
    const answers = ['a', 'b', 'c', 'd', 'e'].map((value) => read(sql, [value]))
    expect(database.trips.map(({ parameters }) => parameters)).toEqual([['a'], ['b']])
    await database.trips[0]?.end([['A']])
    expect(database.trips[2]?.parameters).toEqual(['{"c","d","e"}'])
    // By place, whatever the order of the rows.
    await database.trips[2]?.end([
      ['3', 'E'],
      ['1', 'C'],
      ['2', null],
    ])
    await database.trips[1]?.end([['B']])
    expect(await Promise.all(answers)).toEqual([['A'], ['B'], ['C'], [null], ['E']])
    expect(database.trips).toHaveLength(3)
  })

  it('lets nobody wait for another statement', () => {
    const database = aDatabase()
    const read = createJoinedReads(database)
    for (const text of [sql, sql, `${sql} limit 1`]) void read(text, ['x'])
    expect(database.trips).toHaveLength(3)
  })

  it('fails only the one whose values are refused', async () => {
    const database = aDatabase()
    const read = createJoinedReads(database)
    const answers = ['a', 'b', 'bad', 'c'].map((value) => read(sql, [value]).catch(String))
    await database.trips[0]?.end([['A']])
    await database.trips[1]?.end([['B']])
    await database.trips[2]?.end(new SqlError('22P02', 'invalid'))
    await database.trips[3]?.end(new SqlError('22P02', 'invalid'))
    await database.trips[4]?.end([['C']])
    expect(await Promise.all(answers)).toEqual([['A'], ['B'], 'SqlError: invalid', ['C']])
  })

  it('tells all when the database is away, and goes on afterwards', async () => {
    const database = aDatabase()
    const read = createJoinedReads(database)
    const answers = ['a', 'b', 'c', 'd'].map((value) => read(sql, [value]).catch(String))
    for (const place of [0, 1, 2]) await database.trips[place]?.end(new Error('away'))
    expect(await Promise.all(answers)).toEqual(Array(4).fill('Error: away'))
    const later = read(sql, ['e'])
    await database.trips[3]?.end([['E']])
    expect(await later).toEqual(['E'])
  })
})
