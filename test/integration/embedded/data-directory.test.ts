import { cp, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'

import type { Database } from '../../../src/embedded/database/database.ts'
import { openPgliteDatabase } from '../../../src/embedded/database/pglite/pglite-database.ts'
import { ownIdentity } from '../../../src/embedded/database/pglite/process-identity.ts'
import type { Clock } from '../../../src/lib/clock.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { eventually } from '../../support/eventually.ts'
import { startToKill } from '../../support/killed-process.ts'
import { TestClock } from '../../support/test-clock.ts'
import { runs } from '../../support/thoroughness.ts'

const writer = new URL('../../support/writer-program.ts', import.meta.url).pathname

const mebibyte = 1024 * 1024

describe('the data directory of an embedded database', () => {
  let dataDir: string
  const opened: Database[] = []
  const open = async (clock: Clock = systemClock): Promise<Database> => {
    const database = await openPgliteDatabase({ dataDir, clock, logger: silentLogger })
    opened.push(database)
    return database
  }
  const close = async (database: Database) => {
    opened.splice(opened.indexOf(database), 1)
    await database.close()
  }
  const startWriter = () => startToKill([writer, dataDir])

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'muster-pglite-'))
    await cp(inject('pgliteTemplate'), dataDir, { recursive: true })
  })
  afterEach(async () => {
    for (const database of opened.splice(0)) await database.close()
    await rm(dataDir, { recursive: true, force: true })
  })

  it('is whole after a kill while it was being made', async () => {
    await rm(join(dataDir, 'postgres'), { recursive: true })
    const child = startWriter()
    // Half made: what all databases share is there, of the databases themselves only the first.
    const databases = join(dataDir, 'postgres.new', 'base')
    await eventually(async () => (await readdir(databases).catch(() => [])).length > 0, {
      timeoutMs: 120_000,
      everyMs: 2,
      what: 'a database is being made',
    })
    expect(await readdir(dataDir)).not.toContain('postgres')
    await child.kill()
    const database = await open()
    expect(await database.query('select 1::text')).toEqual([['1']])
    expect((await readdir(dataDir)).sort()).toEqual(['muster.lock', 'postgres'])
  })

  it('is refused to a second one while the first lives, here or in another process', async () => {
    const child = startWriter()
    await eventually(() => child.lines().length > 0, { timeoutMs: 120_000 })
    await expect(open()).rejects.toMatchObject({
      code: 'data-directory-locked',
      message: expect.stringMatching(/in use by process \d+/) as string,
    })
    await child.kill()
    await close(await open())
    await open()
    await expect(open()).rejects.toMatchObject({ code: 'data-directory-locked' })
  })

  it('is given to one of many who find a dead holder', async () => {
    await close(await open())
    const dead = { pid: 2 ** 22 + 1, boot: 'elsewhere', pidNamespace: '', startedAt: '1' }
    const lock = join(dataDir, 'muster.lock')
    await writeFile(lock, JSON.stringify(dead))
    // A holder on another machine may live as long as it touches its file.
    await expect(open()).rejects.toMatchObject({ code: 'data-directory-locked' })
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(lock, longAgo, longAgo)
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => open()))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('is free when its holder’s number is now another process’s', async () => {
    await close(await open())
    // This process has the number, and began at another moment than the holder.
    await writeFile(
      join(dataDir, 'muster.lock'),
      JSON.stringify({ ...(await ownIdentity()), startedAt: '1' }),
    )
    await close(await open())
  })

  it('must be a directory with a database in it', async () => {
    await writeFile(join(dataDir, 'file'), '')
    await expect(
      openPgliteDatabase({ dataDir: join(dataDir, 'file'), clock: systemClock, logger: silentLogger }),
    ).rejects.toMatchObject({ code: 'data-directory-unusable' })
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '9\n')
    await expect(open()).rejects.toMatchObject({ code: 'data-directory-unusable' })
    expect(await readdir(dataDir)).not.toContain('muster.lock')
  })

  it(`keeps its write-ahead log bounded over ${runs(600_000, 1_000_000)} updates`, async () => {
    // A second for each statement, whatever the machine: what is written between two looks is bounded by its speed.
    const clock = new TestClock()
    const database = await open(clock)
    await database.transaction((transaction) =>
      transaction.script(`create table big (id integer primary key, n integer, filler text);
        insert into big select i, 0, repeat('x', 100) from generate_series(1, 10000) i`),
    )
    let largest = 0
    const rounds = runs(60, 100)
    for (let round = 0; round < rounds; round += 1) {
      await database.query('update big set n = n + 1')
      await clock.advance(1_000)
      largest = Math.max(largest, await sizeOf(join(dataDir, 'postgres', 'pg_wal')))
    }
    expect(largest).toBeLessThan(150 * mebibyte)
    const [row] = await database.query("select (pg_current_wal_lsn() - '0/0')::text, sum(n)::text from big")
    expect(row?.[1]).toBe(`${rounds * 10_000}`)
    // Unbounded, it would hold all that was ever written.
    expect(Number(row?.[0])).toBeGreaterThan(runs(190, 300) * mebibyte)
  })
})

async function sizeOf(directory: string): Promise<number> {
  const names = await readdir(directory)
  const sizes = await Promise.all(names.map((name) => stat(join(directory, name))))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}
