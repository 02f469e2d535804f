import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { buildClientSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } from 'graphql'
import type { IntrospectionQuery } from 'graphql'

import { startEmbedded } from '../../src/embedded/endpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'

export const fleetProject = new URL('../../config/hasura', import.meta.url).pathname
/** What the project's migrations and metadata come to for the administrator; `make schema` writes it. */
export const schemaFile = join(fleetProject, 'schema.graphql')

/** What an endpoint tells of its schema, as its administrator's tools ask it. */
export async function introspect(url: string, adminSecret: string): Promise<IntrospectionQuery> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'x-hasura-admin-secret': adminSecret },
    body: JSON.stringify({ query: getIntrospectionQuery() }),
  })
  const { data } = (await response.json()) as { data?: IntrospectionQuery }
  if (data === undefined) throw new Error('the endpoint does not answer introspection')
  return data
}

/** In an order that depends on nothing but names. */
export const schemaText = (introspection: IntrospectionQuery): string =>
  `${printSchema(lexicographicSortSchema(buildClientSchema(introspection)))}\n`

/** The fleet's own schema, from an endpoint started for it. */
export async function introspectFleet(): Promise<IntrospectionQuery> {
  const dataDir = mkdtempSync(join(tmpdir(), 'muster-schema-'))
  const adminSecret = 'a secret of the schema'
  try {
    const endpoint = await startEmbedded({
      projectDir: fleetProject,
      database: { kind: 'pglite', dataDir },
      port: 0,
      adminSecret,
      logger: silentLogger,
    })
    try {
      return await introspect(endpoint.url, adminSecret)
    } finally {
      await endpoint.stop()
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}
