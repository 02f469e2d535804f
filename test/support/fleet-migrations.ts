import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const migrations = new URL('../../config/hasura/migrations/default/', import.meta.url).pathname

/** The text of every up-migration, in order. */
export function migrationTexts(): readonly string[] {
  return readdirSync(migrations)
    .sort()
    .map((folder) => readFileSync(join(migrations, folder, 'up.sql'), 'utf8'))
}
