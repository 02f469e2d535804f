import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { describe, inject } from 'vitest'

import './global-setup.ts'

/** For suites that need a real PostgreSQL: skipped where there is none (global-setup.ts says so, or fails). */
export const describeOnPostgres = describe.skipIf(inject('postgresUrl') === '')

export interface FreshDatabase {
  readonly url: string
  /** Ends every connection to it and removes it. */
  drop(): Promise<void>
}

/** A database of its own on the cluster that the run shares: empty, or a copy of the template. */
export async function freshDatabase(template = 'template1'): Promise<FreshDatabase> {
  const cluster = inject('postgresUrl')
  if (cluster === '') throw new Error('PostgreSQL is not installed: use describeOnPostgres')
  const name = `test_${randomBytes(6).toString('hex')}`
  // PostgreSQL's default copies block by block through the write-ahead log: several times slower.
  await administer(cluster, `create database ${name} template ${template} strategy file_copy`)
  const url = new URL(cluster)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => administer(cluster, `drop database if exists ${name} with (force)`) }
}

async function administer(cluster: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: cluster })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
