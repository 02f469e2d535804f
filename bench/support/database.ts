import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import pg from 'pg'

const migrations = join(import.meta.dirname, '../../config/hasura/migrations/default')

export interface BenchDatabase {
  readonly url: string
  sql(text: string, parameters?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  drop(): Promise<void>
}

/** A database with the fleet's schema, on the run's cluster. */
export async function createBenchDatabase(clusterUrl: string): Promise<BenchDatabase> {
  const name = `bench_${randomBytes(4).toString('hex')}`
  await administer(clusterUrl, `create database ${name}`)
  const url = new URL(clusterUrl)
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, max: 2 })
  // The drop ends idle connections before the pool does.
  pool.on('error', () => undefined)
  for (const folder of readdirSync(migrations).sort()) {
    await pool.query(readFileSync(join(migrations, folder, 'up.sql'), 'utf8'))
  }
  return {
    url: url.href,
    sql: async (text, parameters = []) =>
      (await pool.query<Record<string, unknown>>(text, [...parameters])).rows,
    drop: async () => {
      await pool.end()
      await administer(clusterUrl, `drop database if exists ${name} with (force)`)
    },
  }
}

export async function administer(url: string, statement: string): Promise<readonly pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<pg.QueryResultRow>(statement)).rows
  } finally {
    await client.end()
  }
}
