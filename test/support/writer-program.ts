/**
 * A process that writes rows to an embedded database as fast as it can, and says on standard output which were
 * acknowledged: to be killed. Argument: the data directory.
 */
import { openPgliteDatabase } from '../../src/embedded/database/pglite/pglite-database.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'

const [, , dataDir = ''] = process.argv
const database = await openPgliteDatabase({ dataDir, clock: systemClock, logger: silentLogger })
await database.transaction((transaction) =>
  transaction.script(
    'create table if not exists written (id bigint generated always as identity, pid integer)',
  ),
)
for (;;) {
  const [row] = await database.query(
    'insert into written (pid) values (($1::text)::integer) returning id::text',
    [String(process.pid)],
  )
  process.stdout.write(`${row?.[0] ?? ''}\n`)
}
