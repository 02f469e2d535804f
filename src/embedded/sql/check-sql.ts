/**
 * What a permission asks of written rows, checked as they are written: a row that fails it takes the whole statement
 * back. The function is the endpoint's own, since SQL has no other way to refuse.
 */
import type { Database } from '../database/database.ts'
import { ownSchema } from '../project/migrations.ts'

/** The SQLSTATE by which a failed check is known; its class is nobody else's. */
export const checkFailedState = 'MU001'

const definition = `
create schema if not exists ${ownSchema};
create or replace function ${ownSchema}.require_check(holds boolean) returns boolean language plpgsql volatile as $body$
begin
  if holds then return true; end if;
  raise exception 'a permission''s check failed' using errcode = '${checkFailedState}';
end $body$;`

/** To follow `returning alias.*`; nothing for a check that always holds. Unknown is no. */
export const requireSql = (check: string): string =>
  check === 'true' ? '' : `, ${ownSchema}.require_check(${check}) as muster_check`

export async function installRowChecks(database: Database): Promise<void> {
  await database.transaction(async (transaction) => {
    // Two endpoints that start at once take turns.
    await transaction.query(
      "select pg_advisory_xact_lock(hashtextextended('muster_endpoint/checks', 0))::text",
    )
    await transaction.script(definition)
  })
}
