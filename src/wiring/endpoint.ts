import { resolve } from 'node:path'

import type { Config } from '../../config/load.ts'
import { startEmbedded } from '../embedded/endpoint.ts'
import type { Logger } from '../lib/logger.ts'

const projectDir = resolve(import.meta.dirname, '../../config/hasura')

/** The GraphQL endpoint that the configuration names, or one of our own. */
export async function startEndpoint(
  config: Config,
  logger: Logger,
  { isReadOnly = false }: { readonly isReadOnly?: boolean } = {},
): Promise<{ url: string; fetch?: typeof fetch; stop: () => Promise<void> }> {
  if (config.database.kind === 'hasura')
    return { url: config.database.endpoint, stop: () => Promise.resolve() }
  return startEmbedded({
    projectDir,
    database: config.database,
    host: '127.0.0.1',
    // Who only looks needs no port of its own: a daemon may hold it.
    port: isReadOnly ? 0 : config.settings.MUSTER_GRAPHQL_PORT,
    isReadOnly,
    adminSecret: config.adminSecret,
    previousAdminSecret: config.settings.MUSTER_ADMIN_SECRET_PREVIOUS,
    allowedOrigins: config.settings.HASURA_GRAPHQL_CORS_DOMAIN,
    jwt: config.settings.HASURA_GRAPHQL_JWT_SECRET,
    unauthorizedRole: config.settings.HASURA_GRAPHQL_UNAUTHORIZED_ROLE,
    timing: config.settings.MUSTER_GRAPHQL_TIMING,
    logger,
  })
}
