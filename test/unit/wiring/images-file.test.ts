import { beforeEach, describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { FleetStore } from '../../../src/store/fleet-store.ts'
import { MemoryDatabase } from '../../../src/store/memory/memory-database.ts'
import { createMemoryStore } from '../../../src/store/memory/memory-store.ts'
import { insertImage, insertRegion } from '../../../src/store/memory/region-rows.ts'
import { startImagesOfFile } from '../../../src/wiring/images-file.ts'
import { anImage, aRegion } from '../../support/factories.ts'
import { TestClock } from '../../support/test-clock.ts'

let clock: TestClock
let db: MemoryDatabase
let store: FleetStore
beforeEach(async () => {
  clock = new TestClock()
  db = new MemoryDatabase(clock, 'fleet')
  store = createMemoryStore(db)
  await db.transact(() => {
    for (const id of ['test/a', 'test/b', 'test/c']) {
      insertRegion(db, aRegion({ id }))
      insertImage(db, anImage({ id: `${id}:1`, regionId: id, imageId: 'old', version: '1' }))
    }
  })
})

let ids = 0
const never = new AbortController().signal
const start = (
  images: Readonly<Record<string, string>>,
  {
    version = '2',
    of = store,
    signal = never,
  }: { version?: string; of?: typeof store; signal?: AbortSignal } = {},
) => {
  const options = { store: of, images: { version, images }, newId: () => `group-${(ids += 1)}`, clock }
  return startImagesOfFile({ ...options, logger: silentLogger }, signal)
}
const rollouts = async () =>
  (await store.readRollouts({ limit: 100 }))
    .map(({ regionId, version, state }) => `${regionId} ${version} ${state}`)
    .sort()

describe('the images of a file', () => {
  it('are rolled out where they are new, as one group; a region that does not exist is passed over', async () => {
    await start({ 'test/a': 'new', 'test/b': 'new', 'test/c': 'old', 'test/z': 'new' }, { version: '2' })
    expect(await rollouts()).toEqual(['test/a 2 PREPARING', 'test/b 2 PREPARING', 'test/c 2 PREPARING'])
    const groups = new Set((await store.readRollouts({ limit: 100 })).map(({ groupId }) => groupId))
    expect(groups.size).toBe(1)
    // The image that a region has is not new to it.
    await start({ 'test/a': 'new', 'test/b': 'newer' }, { version: '2' })
    const newest = (await store.readRollouts({ region: 'test/b', limit: 100 })).find(
      ({ state }) => state === 'PREPARING',
    )
    expect(newest?.groupId).toBe(newest?.id)
  })

  it.each(['PREPARING', 'ROLLED_BACK', 'by hand'])('are not rolled out again: %s', async (state) => {
    if (state === 'by hand') {
      const image = anImage({
        id: 'x',
        regionId: 'test/a',
        imageId: 'new',
        version: '2',
        status: 'CANDIDATE',
      })
      await db.transact(() => insertImage(db, image))
    } else await start({ 'test/a': 'new' })
    const [rollout] = await store.readRollouts({ limit: 1 })
    if (state === 'ROLLED_BACK' && rollout !== undefined) {
      const image = db.images.get(rollout.id)!
      db.images.put({ ...image, status: 'RETIRED' })
      db.rollouts.put({ ...db.rollouts.get(rollout.id)!, state: 'ROLLED_BACK' })
    }
    const before = await rollouts()
    await start({ 'test/a': 'new' })
    expect(await rollouts()).toEqual(before)
    expect(await store.readImages('test/a')).toHaveLength(2)
  })

  it('wait for the database, and are given up when it refuses them', async () => {
    const away = new MusterError('database-unavailable', 'away', { retryable: true })
    let calls = 0
    const failing = (error: MusterError, times: number): FleetStore => ({
      ...store,
      startRollouts: async (...args) => {
        calls += 1
        if (calls <= times) throw error
        return store.startRollouts(...args)
      },
    })
    const under = start({ 'test/a': 'new' }, { of: failing(away, 2) })
    await clock.advance(500)
    await clock.advance(1_000)
    expect(await under).toBe(true)
    expect([calls, await rollouts()]).toEqual([3, ['test/a 2 PREPARING']])
    const refused = new MusterError('database-refused', 'no')
    expect(await start({ 'test/a': 'newest' }, { of: failing(refused, 99) })).toBe(true)
    expect(calls).toBe(4)
    const leaving = new AbortController()
    const left = start({ 'test/b': 'new' }, { of: failing(away, 99), signal: leaving.signal })
    await clock.advance(1)
    leaving.abort()
    expect(await left).toBe(false)
  })
})
