import { resolve } from 'node:path'

import { loadConfig, readEnvironment, secretsOf } from '../../config/load.ts'
import { serveProject } from '../embedded/cli-command.ts'
import { createLogger } from '../lib/logger.ts'

export interface GraphqlOptions {
  readonly project: string
  readonly port: number
  readonly database?: string
  readonly data?: string
  readonly timing: 'fast' | 'hasura'
  readonly authCloseCode: '4400' | '4403'
}

/** Serve any Hasura project's folder until a signal. */
export async function graphql(options: GraphqlOptions): Promise<void> {
  const { DATABASE_URL: _, HASURA_GRAPHQL_ENDPOINT: __, ...environment } = readEnvironment()
  const config = loadConfig(environment, { generate: true })
  const stopping = new AbortController()
  process.on('SIGINT', () => stopping.abort())
  process.on('SIGTERM', () => stopping.abort())
  const logger = createLogger({
    level: config.settings.LOG_LEVEL,
    pretty: config.settings.MUSTER_LOG_FORMAT === 'pretty',
    secrets: secretsOf(config, environment),
  })
  const database =
    options.database === undefined
      ? ({ kind: 'pglite', dataDir: resolve(options.data ?? resolve(config.dataDir, 'graphql')) } as const)
      : ({ kind: 'postgres', url: options.database, poolSize: config.settings.MUSTER_DATABASE_POOL } as const)
  await serveProject(
    {
      projectDir: resolve(options.project),
      database,
      host: '127.0.0.1',
      port: options.port,
      adminSecret: config.adminSecret,
      previousAdminSecret: config.settings.MUSTER_ADMIN_SECRET_PREVIOUS,
      allowedOrigins: config.settings.HASURA_GRAPHQL_CORS_DOMAIN,
      jwt: config.settings.HASURA_GRAPHQL_JWT_SECRET,
      unauthorizedRole: config.settings.HASURA_GRAPHQL_UNAUTHORIZED_ROLE,
      timing: options.timing,
      authCloseCode: options.authCloseCode === '4400' ? 4400 : 4403,
      logger,
    },
    stopping.signal,
    ({ url }) => process.stdout.write(`GraphQL  ${url}\n`),
  )
}
