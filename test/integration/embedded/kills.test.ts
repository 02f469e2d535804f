import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, inject, it, onTestFinished } from 'vitest'

import type { Database } from '../../../src/embedded/database/database.ts'
import { openPgliteDatabase } from '../../../src/embedded/database/pglite/pglite-database.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { adminSecret, libraryProject } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { startToKill } from '../../support/killed-process.ts'
import { runs } from '../../support/thoroughness.ts'

const writer = new URL('../../support/writer-program.ts', import.meta.url).pathname
const main = new URL('../../../src/main.ts', import.meta.url).pathname
const kills = { ofWriters: runs(4, 16), ofEndpoints: runs(1, 3) }

/** A directory with an empty database. */
async function aDirectory(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-kills-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  await cp(inject('pgliteTemplate'), dataDir, { recursive: true })
  return dataDir
}

async function withDatabase<T>(dataDir: string, use: (database: Database) => Promise<T>): Promise<T> {
  const database = await openPgliteDatabase({ dataDir, clock: systemClock, logger: silentLogger })
  try {
    return await use(database)
  } finally {
    await database.close()
  }
}

/** A column of every row, read from the table and from its index, which must agree. */
async function keptIn(database: Database, column: string, table: string): Promise<readonly string[]> {
  const [fromTable, fromIndex] = await database.transaction(async (transaction) => {
    const read = async (way: string) => {
      await transaction.script(`set local enable_seqscan = ${way === 'table'}; set local enable_indexscan = ${way === 'index'};
        set local enable_indexonlyscan = ${way === 'index'}; set local enable_bitmapscan = off`)
      return await transaction.query(`select ${column}::text from ${table} order by ${column}`)
    }
    return [await read('table'), await read('index')]
  })
  expect(fromIndex).toEqual(fromTable)
  return fromTable.map(([value]) => value ?? '')
}

describe('a process killed under write load, again and again', { timeout: 900_000 }, () => {
  it(`loses no acknowledged transaction and keeps no half of one: ${kills.ofWriters} writers`, async () => {
    const dataDir = await aDirectory()
    const acknowledged: string[] = []
    for (let kill = 0; kill < kills.ofWriters; kill += 1) {
      const process = startToKill([writer, dataDir])
      // Right after the start, in the midst, and with some log to replay.
      const transactions = 1 + ((kill * 37) % 150)
      await eventually(() => process.lines().length >= transactions, { everyMs: 5 })
      await process.kill()
      acknowledged.push(...process.lines())
    }
    expect(new Set(acknowledged).size).toBe(acknowledged.length)
    const kept = await withDatabase(dataDir, (database) => keptIn(database, 'id', 'written'))
    const halves = Map.groupBy(kept, (id) => id)
    expect(acknowledged.filter((id) => !halves.has(id))).toEqual([])
    expect([...halves.values()].filter(({ length }) => length !== 2)).toEqual([])
    expect((await readdir(dataDir)).sort()).toEqual(['postgres'])
  })

  it(`loses no answered mutation: ${kills.ofEndpoints} endpoints`, async () => {
    const dataDir = await aDirectory()
    const acknowledged: number[] = []
    let next = 1
    for (let kill = 0; kill < kills.ofEndpoints; kill += 1) {
      const args = ['graphql', '--project', libraryProject, '--port', '0', '--data', dataDir]
      const endpoint = startToKill([main, ...args], {
        HASURA_GRAPHQL_ADMIN_SECRET: adminSecret,
        MUSTER_DATA_DIR: dataDir,
        LOG_LEVEL: 'error',
      })
      const urlOf = () =>
        endpoint
          .lines()
          .find((line) => line.startsWith('GraphQL'))
          ?.split(/\s+/)[1]
      await eventually(() => urlOf() !== undefined, { what: 'the endpoint serves' })
      const url = urlOf() ?? ''
      const write = async (): Promise<void> => {
        for (;;) {
          const id = next++
          const query = `mutation { insert_author_one(object: {id: ${id}, name: "a${id}"}) { id } }`
          const headers = { 'x-hasura-admin-secret': adminSecret }
          const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) })
          if ((await response.text()).startsWith('{"data"')) acknowledged.push(id)
        }
      }
      const before = acknowledged.length
      const writers = [write(), write(), write(), write()].map((each) => each.catch(() => undefined))
      await eventually(() => acknowledged.length >= before + 50 * (kill + 1))
      await endpoint.kill()
      await Promise.all(writers)
    }
    const kept = await withDatabase(dataDir, (database) => keptIn(database, 'id', 'author'))
    const keptIds = new Set(kept.map(Number))
    expect(acknowledged.filter((id) => !keptIds.has(id))).toEqual([])
  })
})
