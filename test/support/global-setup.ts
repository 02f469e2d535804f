import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import pg from 'pg'
import type { TestProject } from 'vitest/node'

import { openDataDirectory } from '../../src/embedded/database/pglite/data-directory.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'

import { migrationTexts } from './fleet-migrations.ts'
import { findPostgresBinaries, startPostgres } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The cluster that all tests of the run share; empty when this machine has no PostgreSQL. */
    postgresUrl: string
    /** A database of that cluster with the fleet's schema, to be copied and never connected to. */
    fleetTemplate: string
    /** The directory of an embedded database that is still empty, to be copied: making one takes seconds. */
    pgliteTemplate: string
  }
}

/** What all tests of the run share; gives how to remove it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const template = mkdtempSync(join(tmpdir(), 'muster-pglite-template-'))
  const directory = await openDataDirectory(template, systemClock, silentLogger)
  await directory.release()
  project.provide('pgliteTemplate', template)
  const closePostgres = await sharePostgres(project)
  return async () => {
    rmSync(template, { recursive: true, force: true })
    await closePostgres()
  }
}

/** One PostgreSQL for the run. Without it tests are skipped, never silently; where it is required, the run fails. */
async function sharePostgres(project: TestProject): Promise<() => Promise<void>> {
  if (findPostgresBinaries() === undefined && process.env['MUSTER_REQUIRE_POSTGRES'] !== '1') {
    process.stderr.write(
      '\n!!! PostgreSQL is not installed: every test that needs it is SKIPPED.\n' +
        '!!! Install it (apt-get install postgresql), or set MUSTER_REQUIRE_POSTGRES=1 to have this fail.\n\n',
    )
    project.provide('postgresUrl', '')
    project.provide('fleetTemplate', '')
    return () => Promise.resolve()
  }
  const postgres = await startPostgres({ isDurable: false })
  project.provide('postgresUrl', postgres.url)
  project.provide('fleetTemplate', await makeFleetTemplate(postgres.url))
  return () => postgres.close()
}

async function makeFleetTemplate(cluster: string): Promise<string> {
  const name = 'fleet_template'
  const url = new URL(cluster)
  await onConnection(url.href, [`create database ${name}`])
  url.pathname = `/${name}`
  await onConnection(url.href, migrationTexts())
  return name
}

async function onConnection(connectionString: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
