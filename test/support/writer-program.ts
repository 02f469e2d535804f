/**
 * A process that writes rows to an embedded database as fast as it can, and says on standard output which were
 * acknowledged: to be killed. Each number is written as two rows of one transaction. Argument: the data directory.
 */
import { openPgliteDatabase } from '../../src/embedded/database/pglite/pglite-database.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'

const [, , dataDir = ''] = process.argv
const database = await openPgliteDatabase({ dataDir, clock: systemClock, logger: silentLogger })
await database.transaction((transaction) =>
  transaction.script(`
    create sequence if not exists numbers;
    create table if not exists written (id bigint, half integer, pid integer, primary key (id, half))`),
)
const insert = `insert into written values ($1::text::bigint, $2::text::integer, ${process.pid})`
for (;;) {
  const number = await database.transaction(async (transaction) => {
    const [row] = await transaction.query("select nextval('numbers')::text")
    const id = row?.[0] ?? null
    await transaction.query(insert, [id, '1'])
    await transaction.query(insert, [id, '2'])
    return id
  })
  process.stdout.write(`${number ?? ''}\n`)
}
