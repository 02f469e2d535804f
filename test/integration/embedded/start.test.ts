import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { serveProject } from '../../../src/embedded/cli-command.ts'
import type { EmbeddedEndpoint } from '../../../src/embedded/endpoint.ts'
import { startEmbedded } from '../../../src/embedded/endpoint.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import {
  adminSecret,
  aDatabase,
  anEndpoint,
  databaseKinds,
  libraryProject,
} from '../../support/an-endpoint.ts'
import { freePort } from '../../support/free-port.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'
import type { FreshDatabase } from '../../support/fresh-database.ts'

const common = { projectDir: libraryProject, port: 0, adminSecret, logger: silentLogger }

describe.each(databaseKinds)('a start on %s', (kind) => {
  it('migrates a new database once, and serves what it finds afterwards', async () => {
    const library = await anEndpoint(kind)
    try {
      expect(library.endpoint).toMatchObject({
        databaseWasNew: true,
        appliedMigrations: [
          '1700000000000_library',
          '1700000001000_loans',
          '1700000002000_shelves',
          '1700000003000_readers',
        ],
      })
      await library.ask('mutation { insert_author_one(object: {id: 1, name: "Austen"}) { id } }')
      await library.restart()
      expect(library.endpoint).toMatchObject({ databaseWasNew: false, appliedMigrations: [] })
      expect((await library.ask('{ author { name } }')).data).toEqual({ author: [{ name: 'Austen' }] })
    } finally {
      await library.close()
    }
  })
})

describeOnPostgres('a start', () => {
  let fresh: FreshDatabase
  let scratch: string
  beforeAll(async () => {
    fresh = await freshDatabase()
    scratch = await mkdtemp(join(tmpdir(), 'muster-project-'))
  })
  afterAll(async () => {
    await fresh.drop()
    await rm(scratch, { recursive: true, force: true })
  })
  const database = () => ({ kind: 'postgres', url: fresh.url, poolSize: 4 }) as const

  it('names the port that is in use, and the setting', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const { port } = holder.address() as AddressInfo
    await expect(startEmbedded({ ...common, database: database(), port })).rejects.toMatchObject({
      code: 'port-in-use',
      message: expect.stringMatching(new RegExp(`${port}.*MUSTER_GRAPHQL_PORT`)) as string,
    })
    holder.close()
  })

  it('lets two of them start at once on one new database', async () => {
    const shared = await freshDatabase()
    const start = () =>
      startEmbedded({ ...common, database: { kind: 'postgres', url: shared.url, poolSize: 4 } })
    const endpoints = await Promise.all([start(), start()])
    expect(endpoints.filter(({ databaseWasNew }) => databaseWasNew)).toHaveLength(1)
    expect(endpoints.flatMap(({ appliedMigrations }) => appliedMigrations).sort()).toEqual([
      '1700000000000_library',
      '1700000001000_loans',
      '1700000002000_shelves',
      '1700000003000_readers',
    ])
    for (const endpoint of endpoints) await endpoint.stop()
    await shared.drop()
  })

  it('waits for a server that is away, and says so when it stays away', async () => {
    const url = `postgres://nobody@127.0.0.1:${await freePort()}/none`
    const began = performance.now()
    await expect(
      startEmbedded({ ...common, database: { kind: 'postgres', url }, startTimeoutMs: 500 }),
    ).rejects.toMatchObject({ code: 'database-unavailable' })
    expect(performance.now() - began).toBeGreaterThan(500)
  })

  it('does not wait for what will not come: a database that is not there', async () => {
    const url = new URL(fresh.url)
    url.pathname = '/not_there'
    await expect(
      startEmbedded({ ...common, database: { kind: 'postgres', url: url.href } }),
    ).rejects.toMatchObject({
      code: 'database-refused',
      message: expect.stringContaining('"not_there" does not exist') as string,
    })
  })

  it('names the file at fault in a project', async () => {
    const broken = async (name: string, path: string, text: string) => {
      const projectDir = join(scratch, name)
      await cp(libraryProject, projectDir, { recursive: true })
      await mkdir(join(projectDir, path, '..'), { recursive: true })
      await writeFile(join(projectDir, path), text)
      return await startEmbedded({ ...common, projectDir, database: database() }).catch(
        (error: unknown) => error,
      )
    }
    const tables = 'metadata/databases/default/tables/tables.yaml'
    expect(await broken('include', tables, '- "!include none.yaml"')).toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('tables/none.yaml') as string,
    })
    expect(await broken('yaml', tables, '- [')).toMatchObject({ code: 'config-invalid' })
    expect(await broken('shape', tables, '- tabel: {name: author}')).toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(/tables\.yaml: .*table/) as string,
    })
    expect(await broken('unknown', tables, '- table: {name: authors, schema: public}')).toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('there is no table public.authors') as string,
    })
    const loop = 'metadata/databases/default/tables/tables.yaml'
    expect(await broken('loop', loop, '"!include tables.yaml"')).toMatchObject({ code: 'config-invalid' })
    expect(
      await broken('sql', 'migrations/default/1800000000000_bad/up.sql', 'create tabel x ()'),
    ).toMatchObject({
      code: 'database-refused',
      message: expect.stringContaining('1800000000000_bad/up.sql: syntax error') as string,
    })
  })
})

describe('serving a project from the command line', () => {
  it('ends when it is told to, with everything closed', async () => {
    const { database, remove } = await aDatabase('pglite')
    const stopping = new AbortController()
    let url = ''
    await serveProject({ ...common, database }, stopping.signal, (endpoint: EmbeddedEndpoint) => {
      url = endpoint.url
      stopping.abort()
    })
    await expect(fetch(url)).rejects.toThrow()
    const again = await startEmbedded({ ...common, database })
    await again.stop()
    await remove()
  })
})
