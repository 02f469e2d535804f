/** The embedded endpoint over a project of somebody else's, on each kind of database, with real clients. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createClient } from 'graphql-ws'
import type { Client } from 'graphql-ws'
import { inject } from 'vitest'
import WebSocket from 'ws'

import type { DatabaseChoice, EmbeddedEndpoint, EmbeddedOptions } from '../../src/embedded/endpoint.ts'
import { startEmbedded } from '../../src/embedded/endpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { freshDatabase } from './fresh-database.ts'

export const libraryProject = new URL('library-project', import.meta.url).pathname
export const adminSecret = 'a secret of the library'

export type DatabaseKind = DatabaseChoice['kind']
/** PostgreSQL only where there is one (global-setup.ts says so when there is not). */
export const databaseKinds: readonly DatabaseKind[] =
  inject('postgresUrl') === '' ? ['pglite'] : ['pglite', 'postgres']

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what an answer holds is known to the test
export type Data = Readonly<Record<string, any>>
export interface Answer {
  readonly data?: Data
  readonly errors?: readonly {
    readonly message: string
    readonly extensions: { readonly code: string; readonly path: string }
  }[]
}

export interface AnEndpoint {
  readonly endpoint: EmbeddedEndpoint
  readonly database: DatabaseChoice
  /** The whole answer of one request over HTTP, as text and parsed. */
  ask(query: string, variables?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>
  askText(body: string, headers?: Readonly<Record<string, string>>): Promise<string>
  /** A real client; disposed by `close`. */
  client(options?: { secret?: string }): Client
  /** Everything a subscription was told, in order. */
  follow(query: string, variables?: Readonly<Record<string, unknown>>): Following
  /** Stops and starts anew over the same database. */
  restart(): Promise<void>
  close(): Promise<void>
}

export interface Following {
  readonly answers: readonly Answer[]
  readonly stop: () => void
}

export async function anEndpoint(
  kind: DatabaseKind,
  overrides: Partial<EmbeddedOptions> = {},
): Promise<AnEndpoint> {
  const { database, remove } = await aDatabase(kind)
  // Making one anew takes seconds.
  if (database.kind === 'pglite') await cp(inject('pgliteTemplate'), database.dataDir, { recursive: true })
  const options: EmbeddedOptions = {
    projectDir: libraryProject,
    database,
    port: 0,
    adminSecret,
    logger: silentLogger,
    ...overrides,
  }
  const clients: Client[] = []
  let endpoint = await startEmbedded(options).catch(async (error: unknown) => {
    await remove()
    throw error
  })

  const askText: AnEndpoint['askText'] = async (body, headers = { 'x-hasura-admin-secret': adminSecret }) => {
    const response = await fetch(endpoint.url, { method: 'POST', headers, body })
    if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`)
    return await response.text()
  }
  const client: AnEndpoint['client'] = ({ secret = adminSecret } = {}) => {
    const made = createClient({
      url: endpoint.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { headers: { 'X-Hasura-Admin-Secret': secret } },
      retryAttempts: 0,
    })
    clients.push(made)
    return made
  }
  return {
    get endpoint() {
      return endpoint
    },
    database,
    askText,
    ask: async (query, variables, headers) =>
      JSON.parse(await askText(JSON.stringify({ query, variables }), headers)) as Answer,
    client,
    follow: (query, variables = {}) => {
      const answers: Answer[] = []
      const stop = client().subscribe<Data>(
        { query, variables },
        {
          next: (answer) => answers.push(answer as Answer),
          error: (error) => answers.push({ errors: error as NonNullable<Answer['errors']> }),
          complete: () => undefined,
        },
      )
      return { answers, stop }
    },
    restart: async () => {
      await endpoint.stop()
      endpoint = await startEmbedded(options)
    },
    close: async () => {
      for (const each of clients) await each.dispose()
      await endpoint.stop()
      await remove()
    },
  }
}

/** A new database of the kind, and how to be rid of it. */
export async function aDatabase(
  kind: DatabaseKind,
): Promise<{ readonly database: DatabaseChoice; readonly remove: () => Promise<void> }> {
  if (kind === 'postgres') {
    const fresh = await freshDatabase()
    return { database: { kind, url: fresh.url, poolSize: 8 }, remove: () => fresh.drop() }
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-pglite-'))
  return { database: { kind, dataDir }, remove: () => rm(dataDir, { recursive: true, force: true }) }
}
