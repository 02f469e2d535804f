import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Database } from '../../../src/embedded/database/database.ts'
import { openPgliteDatabase } from '../../../src/embedded/database/pglite/pglite-database.ts'
import { createPostgresDatabase } from '../../../src/embedded/database/postgres-database.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { aDatabase, databaseKinds } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'

describe.each(databaseKinds)('a database: %s', (kind) => {
  let database: Database
  let remove: () => Promise<void>
  beforeAll(async () => {
    const chosen = await aDatabase(kind)
    remove = chosen.remove
    database =
      chosen.database.kind === 'pglite'
        ? await openPgliteDatabase({
            dataDir: chosen.database.dataDir,
            clock: systemClock,
            logger: silentLogger,
          })
        : createPostgresDatabase({ url: chosen.database.url, logger: silentLogger })
    await database.transaction((transaction) =>
      transaction.script('create table item (id integer primary key)'),
    )
  })
  afterAll(async () => {
    await database.close()
    await remove()
  })
  const count = async () => (await database.query('select count(*)::text from item'))[0]?.[0]

  it('gives text, whatever the type, and takes text', async () => {
    const rows = await database.query(
      "select ($1::text)::bigint::text, ($2::text)::jsonb::text, null::text, (timestamptz '2026-01-01 00:00Z')::text",
      ['9223372036854775807', '{"a":1}'],
    )
    expect(rows).toEqual([['9223372036854775807', '{"a": 1}', null, '2026-01-01 00:00:00+00']])
  })

  it('keeps all of a transaction or nothing', async () => {
    const before = await count()
    const failed = database.transaction(async (transaction) => {
      await transaction.query('insert into item values (1)')
      await transaction.query('insert into item values (1)')
    })
    await expect(failed).rejects.toMatchObject({ name: 'SqlError', sqlState: '23505' })
    const thrown = database.transaction(async (transaction) => {
      await transaction.query('insert into item values (2)')
      throw new Error('changed my mind')
    })
    await expect(thrown).rejects.toThrow('changed my mind')
    expect(await count()).toBe(before)
  })

  it('lets no statement of others into a transaction', async () => {
    const order: string[] = []
    await Promise.all([
      database.transaction(async (transaction) => {
        await transaction.query('insert into item values (10)')
        await transaction.query('select pg_sleep(0.1)::text')
        await transaction.query('delete from item where id = 10')
        order.push('transaction')
      }),
      database
        .query('select count(*)::text from item where id = 10')
        .then(([row]) => order.push(row?.[0] ?? '')),
    ])
    expect(order).toContain('0')
  })

  it('tells of notifications once they are committed, and of none after the listener stopped', async () => {
    const heard: unknown[] = []
    const stop = await database.listen('news', (payload) => heard.push(payload))
    await database
      .transaction(async (transaction) => {
        await transaction.query("select pg_notify('news', 'undone')::text")
        throw new Error('undone')
      })
      .catch(() => undefined)
    await database.query("select pg_notify('news', 'kept')::text")
    await eventually(() => heard.length > 0)
    await stop()
    await database.query("select pg_notify('news', 'late')::text")
    await database.query('select 1::text')
    expect(heard).toEqual(['kept'])
  })

  it('goes on after a refusal', async () => {
    await expect(database.query('select nonsense')).rejects.toMatchObject({ sqlState: '42703' })
    await expect(database.query('select 1/0')).rejects.toMatchObject({ sqlState: '22012' })
    expect(await database.query('select 1::text')).toEqual([['1']])
  })
})
