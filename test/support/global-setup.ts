import type { TestProject } from 'vitest/node'

import { findPostgresBinaries, startPostgres } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The cluster that all tests of the run share; empty when this machine has no PostgreSQL. */
    postgresUrl: string
  }
}

/** One PostgreSQL for the run. Without it tests are skipped, never silently; where it is required, the run fails. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (findPostgresBinaries() === undefined && process.env['MUSTER_REQUIRE_POSTGRES'] !== '1') {
    process.stderr.write(
      '\n!!! PostgreSQL is not installed: every test that needs it is SKIPPED.\n' +
        '!!! Install it (apt-get install postgresql), or set MUSTER_REQUIRE_POSTGRES=1 to have this fail.\n\n',
    )
    project.provide('postgresUrl', '')
    return undefined
  }
  const postgres = await startPostgres()
  project.provide('postgresUrl', postgres.url)
  return () => postgres.close()
}
