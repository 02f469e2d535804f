import type { BenchDatabase } from './database.ts'

/** The channel on which the bare regions' changes are told, the payload being the region's id. */
export const bareChannel = 'bare_changed'

/** The baseline of whatever is told of changes: a copy of the regions whose trigger does nothing but NOTIFY. */
export async function createBareRegions(database: BenchDatabase): Promise<void> {
  await database.sql(`
create schema bare;
create table bare.regions (like fleet.regions including all);
insert into bare.regions select * from fleet.regions;
create function bare.notify() returns trigger language plpgsql as
  $$ begin perform pg_notify('${bareChannel}', new.id); return null; end $$;
create trigger notify after update on bare.regions for each row execute function bare.notify()`)
}
