/**
 * The embedded endpoint: Hasura's GraphQL API over a project directory (migrations and metadata) and a PostgreSQL, in
 * process (PGlite) or anywhere. It knows nothing of fleets: the daemon is a client of it like any other.
 */
import pRetry, { AbortError } from 'p-retry'

import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import { packBackup } from './backup/archive.ts'
import { readCatalog, trackedBy } from './catalog/introspection.ts'
import type { Database } from './database/database.ts'
import { SqlError } from './database/database.ts'
import { openPgliteDatabase } from './database/pglite/pglite-database.ts'
import { createPostgresDatabase } from './database/postgres-database.ts'
import { installChangeTriggers } from './live/change-triggers.ts'
import { startLiveQueries } from './live/live-queries.ts'
import type { Timing } from './live/timing.ts'
import { readProject } from './project/metadata.ts'
import { migrate, requireMigrations } from './project/migrations.ts'
import { buildApi } from './schema/build-api.ts'
import { installRowChecks } from './sql/check-sql.ts'
import { createAuthentication } from './server/authentication.ts'
import { createBackupRoute } from './server/backup-route.ts'
import { createGraphqlRoute } from './server/graphql-route.ts'
import { createGraphqlService } from './server/graphql-service.ts'
import { createHttpServer, graphqlPath, listen } from './server/http-server.ts'
import { readJwtOptions } from './server/jwt-options.ts'
import { createOrigins } from './server/origins.ts'
import { createRoles } from './server/roles.ts'
import { createInProcessFetch } from './server/in-process-fetch.ts'
import { acceptSockets } from './server/sockets.ts'

export type DatabaseChoice =
  | { readonly kind: 'pglite'; readonly dataDir: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize?: number }

export interface EmbeddedOptions {
  /** A Hasura project (config version 3): `config.yaml`, `metadata/`, `migrations/`. */
  readonly projectDir: string
  readonly database: DatabaseChoice
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  readonly adminSecret: string
  /** Accepted too, while the other takes its place. */
  readonly previousAdminSecret?: string | undefined
  /** Origins whose pages may speak to it, as HASURA_GRAPHQL_CORS_DOMAIN lists them. Default: its own alone. */
  readonly allowedOrigins?: readonly string[]
  /** How users' tokens are checked: JSON, as in HASURA_GRAPHQL_JWT_SECRET. Without it only the secret counts. */
  readonly jwt?: string | undefined
  /** The role of requests with neither secret nor token, which are refused without it. */
  readonly unauthorizedRole?: string | undefined
  readonly logger: Logger
  readonly clock?: Clock
  /** Write bigint, numeric and float8 as text, as HASURA_GRAPHQL_STRINGIFY_NUMERIC_TYPES does. Default false. */
  readonly stringifyNumerics?: boolean
  /**
   * When subscriptions are told of changes: `fast`, by notification and within milliseconds (default), or `hasura`, by
   * polls each second, as the real engine does it.
   */
  readonly timing?: Timing
  /** What closes a graphql-transport-ws socket with a wrong secret: 4403, or 4400 as engines until 2.16. Default 4403. */
  readonly authCloseCode?: 4400 | 4403
  /** The database is left as it is: no migration, no trigger. What it lacks is `schema-outdated`. */
  readonly isReadOnly?: boolean
  /** How long a server that does not answer is waited for at start, in milliseconds. Default 30,000. */
  readonly startTimeoutMs?: number
  /** Ends a start under way. */
  readonly signal?: AbortSignal
}

export interface EmbeddedEndpoint {
  /** `http://host:port/v1/graphql` */
  readonly url: string
  /** Answers requests to `url` without a socket. */
  readonly fetch: typeof fetch
  readonly port: number
  /** The first migration was applied by this start. */
  readonly databaseWasNew: boolean
  readonly appliedMigrations: readonly string[]
  /** How many subscriptions are followed now. */
  readonly subscriptions: number
  stop(): Promise<void>
}

/** How long requests under way may take when the endpoint stops. */
const drainMs = 5_000

/**
 * Opens the database, migrates it and serves it.
 *
 * @throws MusterError `port-in-use`, `data-directory-locked`, `data-directory-unusable`, `database-unavailable` (no
 * answer within `startTimeoutMs`), `database-refused` (wrong password, no such database, a migration that fails),
 * `config-invalid` (the project directory), `schema-outdated` (`isReadOnly`, and migrations are missing)
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedEndpoint> {
  const { logger, clock = systemClock, host = '127.0.0.1' } = options
  const jwt = options.jwt === undefined ? undefined : readJwtOptions(options.jwt)
  const project = await readProject(options.projectDir)
  if (project.ignored.length > 0)
    logger.warn({ ignored: project.ignored }, 'the project has parts that are not served')
  const database = await openDatabase(options, clock)
  const closers: (() => Promise<void>)[] = [() => database.close()]
  const stop = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
  }
  try {
    const { isReadOnly = false } = options
    if (isReadOnly) await requireMigrations(database, project.migrationsDirectory)
    const { databaseWasNew, applied } = isReadOnly
      ? { databaseWasNew: false, applied: [] }
      : await migrate(database, project.migrationsDirectory)
    const catalog = await readCatalog(database, trackedBy(project))
    if (!isReadOnly) {
      await installChangeTriggers(database, catalog)
      await installRowChecks(database)
    }
    const { stringifyNumerics = false, adminSecret, unauthorizedRole } = options
    const roleOf = createRoles({ project, api: buildApi(project, catalog), database, stringifyNumerics })
    const live = await startLiveQueries({ database, clock, logger, timing: options.timing ?? 'fast' })
    closers.push(() => live.stop())

    const authenticate = createAuthentication({
      ...{ adminSecret, previousAdminSecret: options.previousAdminSecret },
      ...{ jwt, unauthorizedRole, clock },
    })
    const origins = createOrigins(options.allowedOrigins ?? [])
    const service = createGraphqlService({ roleOf, live, logger })
    const backUp = createBackupRoute(authenticate, () => packBackup(database))
    const graphql = createGraphqlRoute({ authenticate, service, logger })
    const server = createHttpServer({ graphql, backUp, origins, logger })
    const { authCloseCode = 4403 } = options
    const sockets = acceptSockets(server, { authenticate, service, clock, authCloseCode, origins })
    const port = await listen(server, host, options.port)
    closers.push(async () => {
      await sockets.stop()
      // Requests under way are answered; connections without one are closed, and so is what does not end.
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const cancel = clock.after(drainMs, () => server.closeAllConnections())
      await closed
      cancel()
    })
    const url = `http://${host}:${port}${graphqlPath}`
    logger.info(
      { url, database: database.kind, tables: catalog.tables.length, migrations: applied },
      database.kind === 'pglite'
        ? 'GraphQL is served from the embedded database: one node, and it does not survive a power cut (it never fsyncs)'
        : 'GraphQL is served',
    )
    return {
      url,
      fetch: createInProcessFetch(graphql),
      port,
      databaseWasNew,
      appliedMigrations: applied,
      get subscriptions() {
        return live.count
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw toStartError(error)
  }
}

async function openDatabase(options: EmbeddedOptions, clock: Clock): Promise<Database> {
  const { database: choice, logger, startTimeoutMs = 30_000 } = options
  if (choice.kind === 'pglite') return await openPgliteDatabase({ dataDir: choice.dataDir, clock, logger })
  const { url, poolSize } = choice
  const database = createPostgresDatabase({ url, logger, ...(poolSize === undefined ? {} : { poolSize }) })
  const began = clock.now()
  try {
    await pRetry(
      async () => {
        await database.query('select 1::text').catch((error: unknown) => {
          if (error instanceof MusterError && error.retryable && clock.now() - began < startTimeoutMs)
            throw error
          throw new AbortError(error instanceof Error ? error : String(error))
        })
      },
      {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: 100,
        maxTimeout: 1_000,
        onFailedAttempt: ({ error, attemptNumber }) => {
          if (attemptNumber === 1) logger.warn({ reason: error.message }, 'waiting for the database')
        },
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
    )
    return database
  } catch (error) {
    await database.close()
    throw toStartError(error)
  }
}

/** At start there is nobody else to answer to: a refusal is the operator's, in words. */
function toStartError(error: unknown): unknown {
  if (!(error instanceof SqlError)) return error
  return new MusterError('database-refused', `the database refuses: ${error.message} (${error.sqlState})`, {
    cause: error,
  })
}
