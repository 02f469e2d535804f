/** What users, managers and people do to one backend at the same moment. */
import { afterEach, beforeEach, expect, it } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { runs } from '../../support/thoroughness.ts'
import { crowd } from './crowd.ts'
import { blockedOrDone, both, call, claim, ids, piece, proveDefences, trigger } from './defence.ts'
import {
  backend,
  hosts,
  issue,
  region,
  seedConnected,
  seedFleet,
  serialOf,
  terminate,
  warm,
} from './trust-seed.ts'

const agents = (fleet: FleetDatabase) => fleet.sql('select id, status, user_id from fleet.agents order by id')

proveDefences('claims against terminations', [
  ...(['kill', 'drain'] as const).map((wish) => ({
    holds: `a claim that meets a termination (${wish}) waits for it, and gets no agent of its host`,
    check: async (fleet: FleetDatabase) => {
      await seedConnected(fleet)
      const first = await fleet.connect()
      await first.query('begin')
      await call(first, 'terminate_backend', ['h1', 'user', wish, 'anna'])
      const second = await fleet.connect()
      const claimed = claim(second, { user: 'u1' })
      await blockedOrDone(fleet, second, claimed)
      await first.query('commit')
      expect(await claimed).toMatchObject({ outcome: 'no-capacity' })
      expect((await agents(fleet)).filter((row) => row['user_id'] !== null)).toEqual([])
    },
    without: [trigger('backends', 'fence')],
  })),
  {
    holds: 'a termination that meets a claim waits for it, and ends what it was given',
    check: async (fleet) => {
      await seedConnected(fleet)
      const first = await fleet.connect()
      await first.query('begin')
      expect(await claim(first, { user: 'u1' })).toMatchObject({ outcome: 'assigned' })
      const second = await fleet.connect()
      const terminated = call(second, 'terminate_backend', ['h1', 'user', 'kill', 'anna'])
      expect(await blockedOrDone(fleet, second, terminated)).toBe('blocked')
      await first.query('commit')
      expect(await terminated).toMatchObject([{ status: 'TERMINATED' }])
      expect(await agents(fleet)).toMatchObject([{ status: 'DYING' }, { status: 'DYING' }])
      expect((await fleet.sql('select ended_at from fleet.assignments'))[0]!['ended_at']).not.toBeNull()
    },
    without: [piece('fence_backend', `a.host_id = new.host_id and a.status <> 'DYING'`, 'false')],
  },
  {
    holds: 'a crowd of claims and one termination leave no user on the host of a terminated backend',
    check: async (fleet) => {
      await seedConnected(fleet)
      await fleet.sql('update fleet.regions set max_agents_per_user = 2')
      for (const number of ids('', 30)) {
        await fleet.sql(`insert into fleet.agents (id, host_id, region_id) values ($1, 'h1', $2)`, [
          `x${number}`,
          region,
        ])
      }
      await warm(fleet, 12)
      const claims = ids('u', 24).map((user) => claim(fleet.pool, { user }))
      const [answers] = await Promise.all([Promise.all(claims), terminate(fleet, 'h1', 'kill')])
      expect(answers.some((row) => row['outcome'] === 'assigned')).toBe(true)
      expect((await agents(fleet)).filter((row) => row['status'] !== 'DYING')).toEqual([])
    },
    without: [piece('fence_backend', `a.host_id = new.host_id and a.status <> 'DYING'`, 'false')],
  },
  {
    holds: 'a stream that opens while its certificate is revoked, or its backend terminated, is refused',
    check: async (fleet) => {
      await seedConnected(fleet)
      await issue(fleet, 'h1', 'c2', { renews: 'c1' })
      const acts = [
        ['c2', 'revoke_certificate', [serialOf('c2'), 'user', 'anna']],
        ['c1', 'terminate_backend', ['h1', 'user', 'drain', 'anna']],
        ['c1', 'terminate_backend', ['h1', 'user', 'kill', 'anna']],
      ] as const
      const answers: unknown[] = []
      for (const [name, act, args] of acts) {
        const first = await fleet.connect()
        await first.query('begin')
        await call(first, act, args)
        const second = await fleet.connect()
        const opened = call(second, 'connect_backend', [serialOf(name), 'a', 2, 1])
        await blockedOrDone(fleet, second, opened)
        await first.query('commit')
        answers.push((await opened).length)
      }
      expect(answers).toEqual([0, 1, 0])
      expect(await backend(fleet, 'h1')).toMatchObject({ status: 'TERMINATED' })
    },
    without: [
      piece(
        'connect_backend',
        'select * into certificate from fleet.certificates c where c.serial = connect_backend.serial for no key update;',
        'perform 1;',
      ),
      both(
        piece('lock_backend', 'where h.id = seen for no key update;', 'where h.id = seen;'),
        piece(
          'lock_backend',
          'where b.id = lock_backend.backend_id for no key update;',
          'where b.id = lock_backend.backend_id;',
        ),
      ),
    ],
  },
])

describeOnPostgres('all of it at once', () => {
  let fleet: FleetDatabase
  beforeEach(async () => (fleet = await fleetDatabase()))
  afterEach(() => fleet.close())

  it('never deadlocks: everybody locks in the order that migration lock_order has', async () => {
    await seedFleet(fleet, { max_agents_per_user: 2 })
    expect(await crowd(fleet, Date.now() + runs(1_500, 10_000))).toEqual([])
    // Whoever is terminated serves nobody, and a host by hand is its backend's.
    const wrong = await fleet.sql(`select b.id from fleet.backends b join fleet.hosts h on h.id = b.host_id
      where (b.status = 'TERMINATED' and h.status not in ('TERMINATING', 'TERMINATED'))
        or (b.status <> 'TERMINATED' and h.status = 'TERMINATED')`)
    expect(wrong).toEqual([])
    const standing = (await hosts(fleet)).filter(
      (row) => row['launch_id'] === null && row['status'] !== 'TERMINATED',
    )
    expect(new Set(standing.map((row): unknown => row['cloud_id'])).size).toBe(standing.length)
  })
})
