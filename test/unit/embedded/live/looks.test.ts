import { describe, expect, it } from 'vitest'

import type { Database, Parameters, TextRow } from '../../../../src/embedded/database/database.ts'
import { SqlError } from '../../../../src/embedded/database/database.ts'
import { createLooks } from '../../../../src/embedded/live/looks.ts'
import { TestClock, settle } from '../../../support/test-clock.ts'

/** Answers each cohort with its values; a value `bad` is refused. */
function aDatabase(clock: TestClock, tookMs = 0) {
  const statements: { sql: string; parameters: Parameters }[] = []
  const query = async (sql: string, parameters: Parameters = []): Promise<readonly TextRow[]> => {
    statements.push({ sql, parameters })
    await settle()
    if (tookMs > 0) await clock.advance(tookMs)
    if (parameters.some((text) => text?.includes('bad'))) throw new SqlError('22000', 'bad')
    if (!sql.includes('cohort')) return [[parameters[0] ?? 'nothing']]
    const values = (parameters[0] ?? '{}').slice(1, -1).split(',')
    return values.map((value, index) => [String(index + 1), value.replaceAll('"', '')]).reverse()
  }
  return { statements, database: { kind: 'postgres', concurrency: 8, query } as unknown as Database }
}

describe('looks', () => {
  it('at one thing at one time are one statement, in batches of 100, each with its own answer', async () => {
    const clock = new TestClock()
    const { statements, database } = aDatabase(clock)
    const lookAt = createLooks(database, clock)
    const values = Array.from({ length: 250 }, (_, index) => `v${index}`)
    const rows = await Promise.all(values.map((value) => lookAt({ sql: 'select $1', parameters: [value] })))
    expect(rows).toEqual(values.map((value) => [value]))
    expect(statements).toHaveLength(3)
  })

  it('of which one is refused do not fail the others', async () => {
    const clock = new TestClock()
    const lookAt = createLooks(aDatabase(clock).database, clock)
    const answers = await Promise.allSettled(
      ['a', 'bad', 'b'].map((value) => lookAt({ sql: 'select $1', parameters: [value] })),
    )
    expect(answers).toMatchObject([
      { value: ['a'] },
      { reason: { code: 'data-exception' } },
      { value: ['b'] },
    ])
  })

  it('without values are asked as they are', async () => {
    const clock = new TestClock()
    const { statements, database } = aDatabase(clock)
    expect(await createLooks(database, clock)({ sql: 'select 1', parameters: [] })).toEqual(['nothing'])
    expect(statements).toEqual([{ sql: 'select 1', parameters: [] }])
  })

  it.each([{ parameters: ['a'] }, { parameters: [] }])(
    'that take long rest for as long ($parameters)',
    async ({ parameters }) => {
      const clock = new TestClock()
      const { statements, database } = aDatabase(clock, 200)
      const lookAt = createLooks(database, clock)
      await lookAt({ sql: 'select $1', parameters })
      const second = lookAt({ sql: 'select $1', parameters })
      await settle()
      expect(statements).toHaveLength(1)
      await clock.advance(200)
      await second
      expect(statements).toHaveLength(2)
    },
  )
})
