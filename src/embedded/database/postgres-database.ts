/**
 * A PostgreSQL server, through a pool of connections. A lost connection is an answer to whoever was waiting on it and
 * nothing else: the pool opens another when it is next asked.
 */
import pg from 'pg'

import type { Logger } from '../../lib/logger.ts'
import type { Database, Parameters, TextRow, Transaction } from './database.ts'
import { postgresErrorOf } from './postgres-errors.ts'
import { createPostgresListener } from './postgres-listener.ts'
import { createStatementNames } from './statement-names.ts'

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=…` */
  readonly url: string
  /** Connections at most, beside the one that listens. Default 16. */
  readonly poolSize?: number
  readonly logger: Logger
}

// Everything is read as the server wrote it.
const asText: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value }
/** Rows print alike whatever the server's settings; statements are short, so compiling them never pays. */
const sessionSettings =
  "set timezone = 'UTC'; set intervalstyle = 'postgres'; set datestyle = 'ISO'; set jit = off"

export function createPostgresDatabase(options: PostgresOptions): Database {
  const connection: pg.ClientConfig = {
    connectionString: options.url,
    application_name: 'muster',
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    types: asText,
  }
  const poolSize = options.poolSize ?? 16
  const pool = new pg.Pool({
    ...connection,
    max: poolSize,
    // The pool waits for what this gives, whatever its type says.
    onConnect: (client: pg.ClientBase): unknown => client.query(sessionSettings),
  })
  // Without a listener an idle connection's end would end the process.
  pool.on('error', (error) => options.logger.debug({ err: error }, 'an idle database connection was lost'))
  const listener = createPostgresListener(connection, options.logger)
  const nameOf = createStatementNames()

  const queryOn = async (client: pg.Pool | pg.ClientBase, sql: string, parameters: Parameters) => {
    try {
      const name = nameOf(sql)
      const query: pg.QueryArrayConfig = { text: sql, values: [...parameters], rowMode: 'array' }
      const result = await client.query<(string | null)[]>(name === undefined ? query : { ...query, name })
      return result.rows satisfies readonly TextRow[]
    } catch (error) {
      throw postgresErrorOf(error)
    }
  }

  return {
    kind: 'postgres',
    concurrency: poolSize,
    query: (sql, parameters = []) => queryOn(pool, sql, parameters),
    transaction: async (run) => {
      const client = await pool.connect().catch((error: unknown) => {
        throw postgresErrorOf(error)
      })
      // While a connection is ours its loss is told to the query that waits, and also as an event.
      const ignore = (): void => undefined
      client.on('error', ignore)
      let isBroken = false
      const transaction: Transaction = {
        query: (sql, parameters = []) => queryOn(client, sql, parameters),
        script: async (sql) => {
          await client.query(sql).catch((error: unknown) => {
            throw postgresErrorOf(error)
          })
        },
      }
      try {
        await transaction.query('begin')
        const result = await run(transaction)
        await transaction.query('commit')
        return result
      } catch (error) {
        await transaction.query('rollback').catch(() => {
          isBroken = true
        })
        throw error
      } finally {
        client.removeListener('error', ignore)
        client.release(isBroken)
      }
    },
    listen: (channel, callback) => listener.listen(channel, callback),
    close: async () => {
      await listener.close()
      await pool.end()
    },
  }
}
