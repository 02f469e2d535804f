import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const migrations = new URL('../../config/hasura/migrations/default/', import.meta.url).pathname

/** The text of every migration, in order; of what takes it back, from the last to the first. */
export function migrationTexts(way: 'up' | 'down' = 'up'): readonly string[] {
  const folders = readdirSync(migrations).sort()
  const ordered = way === 'up' ? folders : folders.reverse()
  return ordered.map((folder) => readFileSync(join(migrations, folder, `${way}.sql`), 'utf8'))
}
