import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { ChangeFollower } from '../../../src/event-handler/change-follower.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { Agent } from '../../../src/model/agent.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { Host } from '../../../src/model/host.ts'
import type { Image, Region } from '../../../src/model/region.ts'
import type { Change, ChangeSink } from '../../../src/store/change-feed.ts'
import type { Rows } from '../../../src/store/fleet-store.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { aHost, anImage, aRegion } from '../../support/factories.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

let clock: TestClock
let mirror: Mirror
let follower: ChangeFollower
let database: Map<string, Region | Image | Host | Agent>
let isAway: boolean
/** What the stream says: nothing, unless the test makes it. */
let stream: ChangeSink
let outbox: Change[]
let wakes: string[]
/** Of each read by key, the ids. */
let reads: string[][]
let health: (string | undefined)[]
/** What was read of those who may connect: everything, or whose. */
let trustReads: string[]
/** What a read of them waits for. */
let trustAnswer: Promise<void>

const rowsOf = (keep: (row: { id: string; regionId?: string }) => boolean): Rows => {
  const rows = [...database.values()].filter(keep)
  return {
    regions: rows.filter((row) => 'targetFreeAgents' in row),
    images: rows.filter((row) => 'imageId' in row && !('cloudId' in row)) as Image[],
    hosts: rows.filter((row) => 'cloudId' in row),
    agents: rows.filter((row) => 'hostId' in row),
    blocked_offerings: [],
    rollouts: [],
    versions: [],
  }
}
const put = (row: Region | Image | Host) => database.set(row.id, row)
const reach = async () => {
  await Promise.resolve()
  if (isAway) throw new MusterError('database-unavailable', 'away', { retryable: true })
}

beforeEach(async () => {
  clock = new TestClock()
  mirror = new Mirror({ clock, lastHeard: () => undefined, waitingUsers: () => 0 })
  database = new Map()
  isAway = false
  outbox = []
  wakes = []
  reads = []
  health = []
  trustReads = []
  trustAnswer = Promise.resolve()
  put(aRegion())
  put(anImage())
  put(aHost())
  follower = new ChangeFollower({
    feed: {
      latest: async () => (await reach(), outbox.at(-1)?.sequence ?? 0),
      read: async (sequences) => (
        await reach(),
        outbox.filter(({ sequence }) => sequences.includes(sequence))
      ),
      follow: async (_cursor, sink, signal) => {
        stream = sink
        sink.connected()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    },
    store: {
      readRegionIds: async () => (await reach(), rowsOf(() => true).regions.map(({ id }) => id)),
      readRegion: async (regionId) => {
        await reach()
        const { regions, ...rows } = rowsOf((row) => row.id === regionId || row.regionId === regionId)
        return regions[0] && { region: regions[0], ...rows }
      },
      readRows: async (ids) => {
        const wanted = Object.values(ids).flat()
        reads.push(wanted)
        await reach()
        return rowsOf((row) => wanted.includes(row.id))
      },
    },
    mirror,
    clock,
    logger: silentLogger,
    resyncMs: 30_000,
    wake: (regionId, cause) =>
      wakes.push(
        `${regionId} ${cause.kind} ${cause.kind === 'change' ? cause.table : cause.kind === 'resync' ? cause.why : ''}`,
      ),
    trust: {
      rebuild: async () => {
        trustReads.push('all')
        await reach()
        await trustAnswer
      },
      changed: async ({ serials, backendIds }) => {
        trustReads.push([...serials, ...backendIds].join(' '))
        await reach()
        await trustAnswer
      },
    },
    onHealth: (isCurrent, cause) => health.push(isCurrent ? undefined : cause),
  })
  follower.start()
  await settle()
  wakes.length = 0
  trustReads.length = 0
})
afterEach(() => follower.stop())

describe('a hint by another way than the stream', () => {
  it('brings a changed row into the mirror and wakes its region, with a stream that says nothing', async () => {
    put(aHost({ status: 'DRAINING', revision: 2 }))
    expect(follower.hint([{ table: 'hosts', rowId: 'h1' }])).toBe(true)
    await settle()
    expect(mirror.host('h1')?.status).toBe('DRAINING')
    expect(wakes).toEqual(['test/one change hosts'])
  })

  it('brings a new region, whose rows follow by their own hints', async () => {
    put(aRegion({ id: 'test/two' }))
    put(aHost({ id: 'h2', regionId: 'test/two' }))
    follower.hint([
      { table: 'hosts', rowId: 'h2' },
      { table: 'regions', rowId: 'test/two' },
    ])
    await settle()
    expect(mirror.snapshot('test/two')?.hosts.map(({ id }) => id)).toEqual(['h2'])
  })

  it('of a row that is gone takes it out', async () => {
    database.delete('h1')
    follower.hint([{ table: 'hosts', rowId: 'h1' }])
    await settle()
    expect(mirror.host('h1')).toBeUndefined()
    expect(wakes).toEqual(['test/one change hosts'])
  })

  it('of a row that has not changed, or was never there, wakes nobody', async () => {
    follower.hint([
      { table: 'hosts', rowId: 'h1' },
      { table: 'agents', rowId: 'nobody' },
    ])
    await settle()
    expect(wakes).toEqual([])
    expect(mirror.host('h1')?.status).toBe('ACTIVE')
  })

  it('is merged with others while a read is under way', async () => {
    follower.hint([{ table: 'hosts', rowId: 'h1' }])
    for (let time = 0; time < 50; time += 1) {
      follower.hint([{ table: 'hosts', rowId: `h${time % 3}` }])
      follower.hint([{ table: 'images', rowId: 'image-2' }])
    }
    await settle()
    expect(reads.length).toBeLessThanOrEqual(2)
    expect(new Set(reads.flat())).toEqual(new Set(['h0', 'h1', 'h2', 'image-2']))
  })

  it('is not taken while the database is not heard, and is made good by its return', async () => {
    isAway = true
    stream.gap('the socket broke')
    expect(follower.hint([{ table: 'hosts', rowId: 'h1' }])).toBe(false)
    expect(health.at(-1)).toBe('the socket broke')
    put(aHost({ status: 'DRAINING', revision: 2 }))
    isAway = false
    stream.connected()
    await clock.advance(1_000)
    expect(mirror.host('h1')?.status).toBe('DRAINING')
    expect(follower.hint([{ table: 'hosts', rowId: 'h1' }])).toBe(true)
  })

  it('that could not be followed, since the database went away, is made good by its return', async () => {
    put(aHost({ status: 'DRAINING', revision: 2 }))
    isAway = true
    expect(follower.hint([{ table: 'hosts', rowId: 'h1' }])).toBe(true)
    await settle()
    expect(health.at(-1)).toBe('away')
    isAway = false
    await clock.advance(1_000)
    expect(mirror.host('h1')?.status).toBe('DRAINING')
    expect(health.at(-1)).toBeUndefined()
  })
})

describe('the stream', () => {
  const aChange = (sequence: number, rowId = 'h1', table = 'hosts'): Change => ({
    sequence,
    table,
    rowId,
    regionId: 'test/one',
  })

  it('is heard, doubled and out of order alike', async () => {
    put(aHost({ status: 'DRAINING', revision: 2 }))
    stream.batch([aChange(2), aChange(1), aChange(2)], false)
    await settle()
    stream.batch([aChange(2)], false)
    await settle()
    expect(mirror.host('h1')?.status).toBe('DRAINING')
    expect(wakes).toEqual(['test/one change hosts'])
  })

  it('that passed over a change which became visible late is completed by key', async () => {
    stream.batch([aChange(1, 'image-2', 'images')], false)
    put(aHost({ status: 'DRAINING', revision: 2 }))
    stream.batch([aChange(3, 'image-2', 'images')], false)
    outbox.push(aChange(2))
    await clock.advance(250)
    expect(mirror.host('h1')?.status).toBe('DRAINING')
  })

  it.each([
    [
      'a full batch',
      'gap',
      () => {
        stream.batch([aChange(1, 'image-2', 'images')], true)
        return settle()
      },
    ],
    [
      'a reconnect',
      'reconnect',
      () => {
        stream.connected()
        return settle()
      },
    ],
    ['the timer', 'timer', () => clock.advance(30_000)],
  ])('is made good by %s, which rebuilds the mirror', async (_what, why, happen) => {
    put(aHost({ status: 'DRAINING', revision: 2 }))
    await happen()
    expect(mirror.host('h1')?.status).toBe('DRAINING')
    expect(wakes).toEqual([`test/one resync ${why}`])
  })
})

describe('whose right to connect may have changed', () => {
  let sequence = 0
  const hear = (...rows: readonly (readonly [table: string, rowId: string])[]) =>
    stream.batch(
      rows.map(([table, rowId]) => ({ sequence: (sequence += 1), table, rowId, regionId: '' })),
      false,
    )

  const aGate = () => {
    let open: () => void = () => undefined
    trustAnswer = new Promise((resolve) => (open = resolve))
    return open
  }

  it('is read alone, merged while a read is under way, and wakes no region', async () => {
    const answer = aGate()
    hear(['certificates', 's1'], ['backends', 'b1'], ['certificates', 's1'])
    await settle()
    hear(['certificates', 's2'])
    hear(['backends', 'b1'], ['backends', 'b2'])
    await settle()
    expect(trustReads).toEqual(['s1 b1'])
    answer()
    await settle()
    expect(trustReads).toEqual(['s1 b1', 's2 b1 b2'])
    hear(['certificates', 's3'])
    await settle()
    expect(trustReads.at(-1)).toBe('s3')
    expect(wakes).toEqual([])
    expect(reads).toEqual([])
  })

  it('does not wait for the reads of the mirror', async () => {
    const answer = aGate()
    follower.resync('timer')
    await settle()
    hear(['certificates', 's1'])
    await settle()
    expect(trustReads).toEqual(['all', 's1'])
    answer()
  })

  it('is read whole before the database counts as heard', async () => {
    stream.gap('the socket broke')
    const answer = aGate()
    stream.connected()
    await settle()
    expect(trustReads).toEqual(['all'])
    expect(health.at(-1)).toBe('the socket broke')
    answer()
    await settle()
    expect(health.at(-1)).toBeUndefined()
  })

  it('that could not be read is read whole at the return of the database', async () => {
    isAway = true
    hear(['certificates', 's1'])
    await settle()
    expect(health.at(-1)).toBe('away')
    isAway = false
    await clock.advance(1_000)
    expect(trustReads[0]).toBe('s1')
    expect(trustReads.at(-1)).toBe('all')
    expect(health.at(-1)).toBeUndefined()
  })

  it.each([
    ['a full batch', () => stream.batch([{ sequence: 1, table: 'hosts', rowId: 'h1', regionId: '' }], true)],
    ['a reconnect', () => stream.connected()],
  ])('is read whole after %s', async (_what, happen) => {
    happen()
    await settle()
    expect(trustReads).toEqual(['all'])
  })
})
