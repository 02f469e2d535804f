/** What a client says reaches the database as a parameter: never as a part of a statement's text. */
import { readdirSync, readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'

import type { GraphQLSchema } from 'graphql'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'

import { readCatalog, trackedBy } from '../../../src/embedded/catalog/introspection.ts'
import type { Database, Parameters, TextRow } from '../../../src/embedded/database/database.ts'
import { openPgliteDatabase } from '../../../src/embedded/database/pglite/pglite-database.ts'
import { subscriptionOf } from '../../../src/embedded/live/subscription.ts'
import { readProject } from '../../../src/embedded/project/metadata.ts'
import { buildApi } from '../../../src/embedded/schema/build-api.ts'
import { createRoles } from '../../../src/embedded/server/roles.ts'
import type { Role } from '../../../src/embedded/server/graphql-service.ts'
import { installRowChecks } from '../../../src/embedded/sql/check-sql.ts'
import type { Session } from '../../../src/embedded/execution/session.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { aDatabase, libraryProject } from '../../support/an-endpoint.ts'
import { hostileRequest } from '../../support/hostile-documents.ts'
import { officeProject } from '../../support/office.ts'
import { runs } from '../../support/thoroughness.ts'

/** In every text and every key of JSON that a request bears, and in every session variable. */
const mark = 'zqmarkqz'
const documents = runs(400, 2_000)

interface Recorded {
  readonly sql: string
  readonly parameters: Parameters
}

describe('no statement has words of', () => {
  let real: Database
  let remove: () => Promise<void>
  const recorded: Recorded[] = []
  /** Really asks, since what an answer holds may be asked about again. */
  const recordingOf = (database: Database): Database => {
    const record = async (
      sql: string,
      parameters: Parameters,
      ask: (sql: string, parameters: Parameters) => Promise<readonly TextRow[]>,
    ): Promise<readonly TextRow[]> => {
      recorded.push({ sql, parameters })
      return await ask(sql, parameters)
    }
    return {
      ...database,
      query: (sql, parameters = []) => record(sql, parameters, (...asked) => database.query(...asked)),
      transaction: (run) =>
        database.transaction((transaction) =>
          run({
            ...transaction,
            query: (sql, parameters = []) =>
              record(sql, parameters, (...asked) => transaction.query(...asked)),
          }),
        ),
    }
  }
  beforeAll(async () => {
    const made = await aDatabase('pglite')
    if (made.database.kind !== 'pglite') throw new Error('another database was asked for')
    remove = made.remove
    await cp(inject('pgliteTemplate'), made.database.dataDir, { recursive: true })
    real = await openPgliteDatabase({
      dataDir: made.database.dataDir,
      clock: systemClock,
      logger: silentLogger,
    })
    await installRowChecks(real)
    // Their versions are alike: to `migrate` the second would be done.
    for (const projectDir of [libraryProject, officeProject]) {
      const { migrationsDirectory } = await readProject(projectDir)
      for (const name of readdirSync(migrationsDirectory).sort()) {
        const sql = readFileSync(join(migrationsDirectory, name, 'up.sql'), 'utf8')
        await real.transaction((transaction) => transaction.script(sql))
      }
    }
  })
  afterAll(async () => {
    await real.close()
    await remove()
  })

  /** Each is a session over a project; both projects live in the one database. */
  it.each<[string, string, Session]>([
    ['the administrator', libraryProject, { role: 'admin', variables: {}, isBackend: false }],
    [
      'a role, whose session variables are texts too',
      officeProject,
      {
        role: 'worker',
        variables: { 'x-hasura-user-id': `${mark}'2`, 'x-hasura-team': `${mark}') or true --` },
        isBackend: false,
      },
    ],
    [
      'a role with a list in its session',
      officeProject,
      {
        role: 'guest',
        variables: { 'x-hasura-note-ids': `{${mark}`, 'x-hasura-password': `${mark}"` },
        isBackend: false,
      },
    ],
  ])('%s', async (_who, projectDir, session) => {
    const project = await readProject(projectDir)
    const catalog = await readCatalog(real, trackedBy(project))
    const database = recordingOf(real)
    const api = buildApi(project, catalog)
    const role = createRoles({ project, api, database, stringifyNumerics: false })(session)
    recorded.length = 0
    for (let seed = 1; seed <= documents; seed += 1) await run(role, session, seed)

    const bearing = recorded.filter(({ parameters }) => parameters.some((each) => each?.includes(mark)))
    // It has been tried.
    expect(bearing.length).toBeGreaterThan(documents / 20)
    expect(recorded.filter(({ sql }) => sql.includes(mark)).map(({ sql }) => sql.slice(0, 2_000))).toEqual([])
  })

  const run = async ({ executor, roleSchema }: Role, session: Session, seed: number): Promise<void> => {
    const schema: GraphQLSchema = roleSchema.schema
    try {
      if (seed % 4 > 0) {
        await executor.run(executor.read(hostileRequest(schema, seed, { mark }), session))
        return
      }
      const request = hostileRequest(schema, seed, { mark, kind: 'subscription' })
      const subscription = subscriptionOf(executor, roleSchema, executor.read(request, session))
      recorded.push(subscription.kind === 'live' ? subscription.look : subscription.lookFrom(mark))
    } catch {
      // Refused, by us or by the database: what counts is how it was asked.
    }
  }
})
