import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'

import { backUp, restore } from '../../../src/embedded/backup/commands.ts'
import { startEmbedded } from '../../../src/embedded/endpoint.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint, databaseKinds, libraryProject } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'

const insertPair = `mutation ($name: String!, $id: Int!) {
  insert_author_one(object: {id: $id, name: $name}) { id }
  insert_book_one(object: {isbn: $name, author_id: $id, title: "T", pageCount: 1}) { isbn }
}`

describe('a backup of the embedded database', () => {
  let library: AnEndpoint
  let folder: string
  let dataDir: string
  beforeAll(async () => {
    library = await anEndpoint('pglite')
    dataDir = library.database.kind === 'pglite' ? library.database.dataDir : ''
    folder = await mkdtemp(join(tmpdir(), 'muster-backup-'))
  })
  afterAll(async () => {
    await library.close()
    await rm(folder, { recursive: true, force: true })
  })

  const common = (file: string) => ({
    file: join(folder, file),
    clock: systemClock,
    logger: silentLogger,
    progress: () => undefined,
    signal: AbortSignal.timeout(100_000),
  })
  const backUpTo = (file: string, overrides: { mayReplace?: boolean; adminSecret?: string } = {}) =>
    backUp({
      ...common(file),
      dataDir,
      mayReplace: false,
      endpoint: new URL(library.endpoint.url).origin,
      adminSecret,
      ...overrides,
    })
  const restoreTo = (file: string, to: string) => restore({ ...common(file), dataDir: join(folder, to) })
  const namesIn = async (of: Pick<AnEndpoint, 'ask'>) => {
    const { data, errors } = await of.ask('{ author(order_by: {id: asc}) { name } books { isbn } }')
    expect(errors).toBeUndefined()
    return {
      authors: (data?.['author'] as { name: string }[]).map(({ name }) => name),
      books: (data?.['books'] as { isbn: string }[]).map(({ isbn }) => isbn),
    }
  }

  it('taken under write load is one moment, from which an endpoint starts', async () => {
    const acknowledged: string[] = []
    let isWriting = true
    const write = async () => {
      while (isWriting) {
        const id = acknowledged.length + 1
        const { errors } = await library.ask(insertPair, { id, name: `a${id}` })
        if (errors !== undefined) throw new Error(errors[0]?.message)
        acknowledged.push(`a${id}`)
      }
    }
    const writing = write()
    await eventually(() => acknowledged.length > 20)
    const before = [...acknowledged]
    await backUpTo('loaded.tar.gz')
    const during = acknowledged.length - before.length
    await eventually(() => acknowledged.length > before.length + during)
    isWriting = false
    await writing

    expect((await stat(join(folder, 'loaded.tar.gz'))).mode & 0o777).toBe(0o600)
    expect((await readdir(dataDir)).sort()).toEqual(['muster.lock', 'postgres'])
    await restoreTo('loaded.tar.gz', 'loaded')
    const restored = await startEmbedded({
      projectDir: libraryProject,
      database: { kind: 'pglite', dataDir: join(folder, 'loaded') },
      port: 0,
      adminSecret,
      logger: silentLogger,
    })
    onTestFinished(() => restored.stop())
    expect(restored.appliedMigrations).toEqual([])
    const ask: AnEndpoint['ask'] = async (query, variables) => {
      const headers = { 'x-hasura-admin-secret': adminSecret }
      const response = await fetch(restored.url, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query, variables }),
      })
      return (await response.json()) as Awaited<ReturnType<AnEndpoint['ask']>>
    }
    const { authors, books } = await namesIn({ ask })
    // Everything until some moment of the backup, nothing after it, and no half of a transaction.
    expect(authors).toEqual([...acknowledged].slice(0, authors.length))
    expect(authors.length).toBeGreaterThanOrEqual(before.length)
    expect(new Set(books)).toEqual(new Set(authors))
    expect(await ask(insertPair, { id: 1_000_000, name: 'after' })).not.toHaveProperty('errors')
  })

  it('never takes a place that is taken, unless told to', async () => {
    await writeFile(join(folder, 'taken'), 'precious')
    await expect(backUpTo('taken')).rejects.toMatchObject({ code: 'invalid-request' })
    expect(await readFile(join(folder, 'taken'), 'utf8')).toBe('precious')
    await backUpTo('taken', { mayReplace: true })
    expect((await stat(join(folder, 'taken'))).size).toBeGreaterThan(100_000)
    expect(await readdir(folder)).not.toContain(expect.stringMatching(/part/))
  })

  it('is for the administrator alone', async () => {
    await expect(backUpTo('stolen', { adminSecret: 'guessed' })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('access-denied') as string,
    })
    const url = new URL('/v1/muster/backup', library.endpoint.url)
    const headers = { 'x-hasura-admin-secret': adminSecret, 'x-hasura-role': 'reader' }
    const response = await fetch(url, { method: 'POST', headers })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('access-denied')
    expect(await readdir(folder)).not.toContain('stolen')
  })

  it('is refused when it is cut short, or no backup, and over a database that is there', async () => {
    await backUpTo('short')
    await truncate(join(folder, 'short'), 200_000)
    await expect(restoreTo('short', 'target')).rejects.toMatchObject({ code: 'invalid-request' })
    await writeFile(join(folder, 'other'), 'something else')
    await expect(restoreTo('other', 'target')).rejects.toMatchObject({ code: 'invalid-request' })
    expect(await readdir(join(folder, 'target'))).toEqual([])
    await backUpTo('whole')
    await restoreTo('whole', 'target')
    await expect(restoreTo('whole', 'target')).rejects.toMatchObject({ code: 'data-directory-unusable' })
    await expect(restore({ ...common('whole'), dataDir })).rejects.toMatchObject({
      code: 'data-directory-locked',
    })
  })

  it('needs no endpoint when nobody uses the directory', async () => {
    const idle = { mayReplace: false, endpoint: 'http://127.0.0.1:1', adminSecret }
    await backUp({ ...common('idle'), ...idle, dataDir: join(folder, 'target') })
    expect((await stat(join(folder, 'idle'))).size).toBeGreaterThan(100_000)
    expect(await readdir(join(folder, 'target'))).toEqual(['postgres'])
    await expect(
      backUp({ ...common('none'), ...idle, dataDir: join(folder, 'nowhere') }),
    ).rejects.toMatchObject({ code: 'data-directory-unusable' })
  })
})

describe.skipIf(!databaseKinds.includes('postgres'))('a backup of a server’s database', () => {
  it('is made with the server’s own tools', async () => {
    const library = await anEndpoint('postgres')
    onTestFinished(() => library.close())
    const response = await fetch(new URL('/v1/muster/backup', library.endpoint.url), {
      method: 'POST',
      headers: { 'x-hasura-admin-secret': adminSecret },
    })
    expect(response.status).toBe(400)
    expect(await response.text()).toMatch(/pg_dump.*not-supported/)
    expect(response.headers.get('content-type')).toContain('json')
  })
})
