/**
 * What a real engine is to the contract's suite: `run_sql` over a database, single commands that add to its metadata,
 * and GraphQL over what is tracked, which the embedded endpoint answers. No real engine runs where the tests do.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import pg from 'pg'

import type { EmbeddedEndpoint } from '../../src/embedded/endpoint.ts'
import { startEmbedded } from '../../src/embedded/endpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { adminSecret } from './an-endpoint.ts'

interface Command {
  readonly type: string
  readonly args: Readonly<Record<string, unknown>>
}
interface Entry extends Readonly<Record<string, unknown>> {
  readonly table?: unknown
  readonly function?: unknown
}

export interface StandIn {
  readonly url: string
  /** What is tracked now. */
  readonly tracked: readonly Entry[]
  close(): Promise<void>
}

export async function standInEngine(databaseUrl: string): Promise<StandIn> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-engine-'))
  const sockets = new Set<Socket>()
  let tracked: Entry[] = []
  let endpoint: EmbeddedEndpoint | undefined

  const runSql = async ({ sql }: Readonly<Record<string, unknown>>): Promise<unknown> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    try {
      await client.query('begin')
      const result = await client.query<unknown[]>({ text: String(sql), rowMode: 'array' })
      await client.query('commit')
      const { fields = [], rows = [] } = Array.isArray(result) ? { fields: [], rows: [] } : result
      return { result_type: 'TuplesOk', result: [fields.map(({ name }) => name), ...rows] }
    } finally {
      await client.end()
    }
  }
  const obey = ({ type, args }: Command): void => {
    const { table, name, using, configuration, is_enum: isEnum } = args
    const relationships = /^pg_create_(.+)_relationship$/.exec(type)?.[1]
    if (type === 'pg_track_table') tracked.push({ table, configuration, is_enum: isEnum })
    else if (type === 'pg_track_function') tracked.push({ function: args['function'], configuration })
    else if (type === 'pg_untrack_table')
      tracked = tracked.filter((each) => !isDeepStrictEqual(each.table, table))
    else if (type === 'pg_untrack_function')
      tracked = tracked.filter((each) => !isDeepStrictEqual(each.function, args['function']))
    else if (relationships !== undefined || type === 'pg_add_computed_field') {
      const list = relationships === undefined ? 'computed_fields' : `${relationships}_relationships`
      const { definition, comment } = args
      const made = relationships === undefined ? { name, definition, comment } : { name, using }
      tracked = tracked.map((each) =>
        isDeepStrictEqual(each.table, table)
          ? { ...each, [list]: [...((each[list] as unknown[] | undefined) ?? []), made] }
          : each,
      )
    } else throw new Error(`no command ${type}`)
  }
  const stopServing = async (): Promise<void> => {
    for (const each of sockets) each.destroy()
    await endpoint?.stop()
    endpoint = undefined
  }
  const serving = async (): Promise<EmbeddedEndpoint> => {
    if (endpoint !== undefined) return endpoint
    const folder = join(directory, 'metadata', 'databases')
    await mkdir(folder, { recursive: true })
    const tables = tracked.filter(({ table }) => table !== undefined)
    const functions = tracked.filter((each) => each.function !== undefined)
    // JSON is YAML.
    await writeFile(
      join(folder, 'databases.yaml'),
      JSON.stringify([{ name: 'default', kind: 'postgres', tables, functions }]),
    )
    await writeFile(join(directory, 'config.yaml'), 'version: 3\n')
    const database = { kind: 'postgres', url: databaseUrl, poolSize: 4 } as const
    endpoint = await startEmbedded({
      projectDir: directory,
      database,
      port: 0,
      adminSecret,
      logger: silentLogger,
    })
    return endpoint
  }
  const answer = async (request: IncomingMessage, text: string): Promise<string> => {
    const command = JSON.parse(text) as Command
    if (request.url === '/v2/query') return JSON.stringify(await runSql(command.args))
    if (request.url === '/v1/metadata') {
      const isBulk = command.type === 'bulk'
      if (command.type !== 'export_metadata') {
        await stopServing()
        for (const each of isBulk ? (command.args as unknown as Command[]) : [command]) obey(each)
      }
      return '{"message":"success"}'
    }
    const { url } = await serving()
    const secret = String(request.headers['x-hasura-admin-secret'])
    const headers = { 'x-hasura-admin-secret': secret }
    return await (await fetch(url, { method: 'POST', headers, body: text })).text()
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      void answer(request, Buffer.concat(chunks).toString()).then(
        (body) => response.end(body),
        (error: unknown) => response.writeHead(400).end(JSON.stringify({ error: String(error) })),
      )
    })
  })
  server.on('upgrade', (request, client: Socket) => {
    void serving().then(({ port }) => {
      const upstream = connect(port, '127.0.0.1')
      for (const each of [client, upstream]) {
        sockets.add(each)
        each.on('error', () => undefined).on('close', () => sockets.delete(each))
      }
      const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`)
      upstream.write(`GET ${request.url} HTTP/1.1\r\n${headers.join('')}\r\n`)
      upstream.pipe(client).pipe(upstream)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get tracked() {
      return tracked
    },
    close: async () => {
      await stopServing()
      server.closeAllConnections()
      server.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
