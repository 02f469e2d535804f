/**
 * Triggers by which the database says that a table's rows have changed. They are the endpoint's own: their function is
 * in its schema, and they name the table and nothing else (a notification holds 8,000 bytes).
 */
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../database/database.ts'
import { quoteName, quoteText } from '../database/database.ts'
import { ownSchema } from '../project/migrations.ts'

export const changeChannel = 'muster_changed'
const triggerName = 'muster_changed'

const notifyFunction = `
create schema if not exists ${ownSchema};
create or replace function ${ownSchema}.notify_change() returns trigger language plpgsql as $body$
begin
  perform pg_notify('${changeChannel}', tg_argv[0]);
  return null;
end $body$;`

/** Tables (not views) among `$1` that have no such trigger yet; each as name for notifications, schema, name. */
const untriggered = `
select n.nspname || '.' || c.relname, n.nspname::text, c.relname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname || '.' || c.relname = any(($1::text)::text[])
  and not exists (select 1 from pg_trigger t where t.tgrelid = c.oid and t.tgname = '${triggerName}')`

/** Gives the sources that are watched: changes of others are found by looking. */
export async function installChangeTriggers(
  database: Database,
  catalog: Catalog,
): Promise<ReadonlySet<string>> {
  const sources = [...new Set(catalog.tables.flatMap((table) => table.sources))]
  const list = `{${sources.map((source) => `"${source.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
  await database.transaction(async (transaction) => {
    // Two endpoints that start at once take turns.
    await transaction.query(
      "select pg_advisory_xact_lock(hashtextextended('muster_endpoint/triggers', 0))::text",
    )
    const missing = await transaction.query(untriggered, [list])
    if (missing.length === 0) return
    await transaction.script(notifyFunction)
    for (const [key, schema, name] of missing) {
      await transaction.script(
        `create trigger ${triggerName} after insert or update or delete or truncate on ` +
          `${quoteName(schema ?? '')}.${quoteName(name ?? '')} for each statement ` +
          `execute function ${ownSchema}.notify_change(${quoteText(key ?? '')})`,
      )
    }
  })
  const found = await database.query(
    `select n.nspname || '.' || c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid
     join pg_namespace n on n.oid = c.relnamespace where t.tgname = '${triggerName}'`,
  )
  return new Set(found.map(([key]) => key ?? ''))
}
