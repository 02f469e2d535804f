/**
 * The project's migrations, applied in order at start, each in a transaction of its own together with the record that
 * it was applied. Two endpoints that start at once on one database take turns.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { MusterError } from '../../model/errors.ts'
import type { Database } from '../database/database.ts'
import { SqlError } from '../database/database.ts'

/** Everything of the endpoint's own lives in this schema, apart from the project's. */
export const ownSchema = 'muster_endpoint'
// Any constant will do as long as every version uses it.
const migrationLock = "select pg_advisory_xact_lock(hashtextextended('muster_endpoint/migrations', 0))::text"

const prepare = `
create schema if not exists ${ownSchema};
create table if not exists ${ownSchema}.migrations (
  version text primary key,
  name text not null,
  applied_at timestamptz not null default now()
);`

export interface MigrationReport {
  /** This start applied the very first migration. */
  readonly databaseWasNew: boolean
  /** Names of the migrations that this start applied, in order. */
  readonly applied: readonly string[]
}

/** @throws MusterError `database-refused` that names the migration; `config-invalid` for a directory of no version. */
export async function migrate(database: Database, directory: string): Promise<MigrationReport> {
  const migrations = await listMigrations(directory)
  await database.transaction(async (transaction) => {
    await transaction.query(migrationLock)
    await transaction.script(prepare)
  })
  let databaseWasNew = false
  const applied: string[] = []
  for (const { version, name } of migrations) {
    const path = join(directory, name, 'up.sql')
    const sql = await readFile(path, 'utf8')
    const isApplied = await database.transaction(async (transaction) => {
      await transaction.query(migrationLock)
      const known = await transaction.query(`select version from ${ownSchema}.migrations`)
      if (known.some(([applied]) => applied === version)) return false
      databaseWasNew ||= known.length === 0
      await transaction.script(sql).catch((error: unknown) => {
        if (!(error instanceof SqlError)) throw error
        throw new MusterError('database-refused', `migration ${path}: ${error.message}`, { cause: error })
      })
      await transaction.query(`insert into ${ownSchema}.migrations (version, name) values ($1, $2)`, [
        version,
        name,
      ])
      return true
    })
    if (isApplied) applied.push(name)
  }
  return { databaseWasNew, applied }
}

/** @throws MusterError `schema-outdated` when one of the directory's migrations has not been applied */
export async function requireMigrations(database: Database, directory: string): Promise<void> {
  const wanted = await listMigrations(directory)
  const [[isPrepared] = []] = await database.query(
    `select (to_regclass('${ownSchema}.migrations') is not null)::text`,
  )
  const known =
    isPrepared === 'true' ? await database.query(`select version from ${ownSchema}.migrations`) : []
  const applied = new Set(known.map(([version]) => version))
  const missing = wanted.filter(({ version }) => !applied.has(version)).map(({ name }) => name)
  if (missing.length === 0) return
  const words = `the database lacks ${missing.length} of this version's migrations, from ${missing[0] ?? ''} on`
  throw new MusterError('schema-outdated', `${words}: a start of the daemon applies them`)
}

async function listMigrations(directory: string): Promise<{ version: string; name: string }[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return names
    .map((name) => {
      const version = /^(\d+)(_|$)/.exec(name)?.[1]
      if (version !== undefined) return { version, name }
      throw new MusterError(
        'config-invalid',
        `${join(directory, name)}: a migration's directory is named <number>_<words>`,
      )
    })
    .sort((a, b) => Number(a.version) - Number(b.version) || a.name.localeCompare(b.name))
}
