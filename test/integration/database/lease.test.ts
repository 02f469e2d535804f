import { expect } from 'vitest'

import { aPlan, blockedOrDone, call, piece, proveDefences } from './defence.ts'

const take = (on: Parameters<typeof call>[0], holder: string, seconds = 60) =>
  call(on, 'take_lease', [holder, seconds])

proveDefences('the lease: one daemon is active', [
  {
    holds: 'one holder at a time; the fence grows with each change of holder, not with a renewal',
    check: async (fleet) => {
      const both = await Promise.all(['one', 'two'].map((holder) => take(fleet.pool, holder)))
      const [winner] = both.flat()
      expect(both.flat()).toHaveLength(1)
      const loser = winner!['holder'] === 'one' ? 'two' : 'one'
      expect(await take(fleet.pool, winner!['holder'] as string)).toMatchObject([
        { fence: winner!['fence'] as number },
      ])
      expect(await take(fleet.pool, loser)).toEqual([])
      await fleet.sql('update fleet.leases set expires_at = now()')
      expect(await take(fleet.pool, loser)).toMatchObject([
        { holder: loser, fence: (winner!['fence'] as number) + 1 },
      ])
      expect(await take(fleet.pool, winner!['holder'] as string)).toEqual([])
    },
    without: [
      piece('take_lease', 'and (l.holder = take_lease.holder or l.expires_at <= clock_timestamp())'),
      piece('take_lease', 'else l.fence + 1 end', 'else l.fence end'),
    ],
  },
  {
    holds: 'only its holder gives a lease back, and then another need not wait',
    check: async (fleet) => {
      await take(fleet.pool, 'one')
      await call(fleet.pool, 'release_lease', ['two', 1])
      await call(fleet.pool, 'release_lease', ['one', 7])
      expect(await take(fleet.pool, 'two')).toEqual([])
      await call(fleet.pool, 'release_lease', ['one', 1])
      expect(await take(fleet.pool, 'two')).toMatchObject([{ holder: 'two', fence: 2 }])
    },
    without: [
      piece('release_lease', 'l.holder = release_lease.holder and'),
      piece('release_lease', 'and l.fence = release_lease.fence'),
    ],
  },
  {
    holds: 'a take-over waits for what the old holder has under way, and a renewal does not',
    check: async (fleet) => {
      await fleet.seedRegion()
      await take(fleet.pool, 'one')
      const [worker, other] = [await fleet.connect(), await fleet.connect()]
      await worker.query('begin')
      await call(worker, 'commit_turn', [
        'local/demo',
        0,
        1,
        aPlan({ decisions: [{ place: 0, kind: 'x', reason: 'x' }] }),
      ])
      const renewal = take(other, 'one')
      expect(await blockedOrDone(fleet, other, renewal)).toBe('done')
      await call(fleet.pool, 'release_lease', ['one', 1])
      const takeOver = take(other, 'two')
      expect(await blockedOrDone(fleet, other, takeOver)).toBe('blocked')
      await worker.query('commit')
      expect(await takeOver).toMatchObject([{ holder: 'two', fence: 2 }])
    },
    without: [
      piece('lease_is_held', 'for key share'),
      piece('lease_is_held', 'for key share', 'for share'),
      piece(
        'take_lease',
        'and l.expires_at <= clock_timestamp() for update',
        'and l.expires_at <= clock_timestamp()',
      ),
    ],
  },
  {
    holds: 'what the old holder begins while the lease changes hands is refused',
    check: async (fleet) => {
      await fleet.seedRegion()
      await take(fleet.pool, 'one')
      await fleet.sql('update fleet.leases set expires_at = now()')
      const [successor, old] = [await fleet.connect(), await fleet.connect()]
      await successor.query('begin')
      await take(successor, 'two')
      const turn = call(old, 'commit_turn', [
        'local/demo',
        0,
        1,
        aPlan({ decisions: [{ place: 0, kind: 'x', reason: 'x' }] }),
      ])
      await blockedOrDone(fleet, old, turn)
      await successor.query('commit')
      expect(await turn).toEqual([])
    },
    without: [piece('lease_is_held', 'l.fence = lease_is_held.fence and l.expires_at > now()', 'true')],
  },
])
