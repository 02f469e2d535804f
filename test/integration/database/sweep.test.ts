import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { aPlan, call, piece, proveDefences, refusalOf, refused } from './defence.ts'

const region = 'local/demo'
const gonePlan = (host: string, endings?: unknown) =>
  aPlan({
    decisions: [{ place: 0, kind: 'terminate', target: host, reason: 'silent' }],
    host_updates: [{ id: host, place: 0, from: ['ACTIVE'], to: 'TERMINATING', reason: 'silent' }],
    actions: [{ place: 0, kind: 'terminate', target: host, params: {} }],
    ...(endings === undefined ? {} : { endings }),
  })

async function seed(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion(region)
  await fleet.takeLease()
  await fleet.seedHosts(['h1', 'h2', 'h3'])
}
const commit = (fleet: FleetDatabase, turn: number, plan: unknown) =>
  call(fleet.pool, 'commit_turn', [region, turn, 1, plan])
const endings = async (fleet: FleetDatabase): Promise<unknown> =>
  (await fleet.sql('select endings from fleet.regions'))[0]!['endings']

proveDefences('what findings have ended is kept by the turns that decide it', [
  {
    holds: 'a stored turn keeps its endings, one that says nothing leaves them, and a refused one keeps none',
    check: async (fleet) => {
      await seed(fleet)
      const [stored] = await commit(fleet, 0, gonePlan('h1', { h1: 1000 }))
      expect(stored).toMatchObject({ turn: 1, endings: { h1: 1000 } })
      expect(await commit(fleet, 0, gonePlan('h2', { h2: 2000 }))).toEqual([])
      await commit(fleet, 1, gonePlan('h2'))
      expect(await endings(fleet)).toEqual({ h1: 1000 })
      await commit(fleet, 2, gonePlan('h3', {}))
      expect(await endings(fleet)).toEqual({})
    },
    without: [
      piece('commit_turn', 'else r.endings end', `else '{}' end`),
      piece('commit_turn', 'or region.turn <> commit_turn.turn'),
    ],
  },
  {
    holds: 'that a turn was stored and what it ended is no news to its region',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql('delete from fleet.changes')
      await commit(fleet, 0, gonePlan('h1', { h1: 1000 }))
      const changes = await fleet.sql('select table_name from fleet.changes')
      expect(changes.map((row) => row['table_name'] as string)).toEqual(['hosts'])
    },
    without: [piece('note_region_change', 'same.endings := old.endings;')],
  },
  {
    holds: 'a confirmation lasts for its seconds, is news to its region alone, and is on record',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedRegion('local/other')
      await fleet.sql('delete from fleet.changes')
      expect(await call(fleet.pool, 'confirm_sweep', [region, 600, 'ann'])).toHaveLength(1)
      expect(await call(fleet.pool, 'confirm_sweep', ['local/none', 600, 'ann'])).toEqual([])
      expect(await refusalOf(call(fleet.pool, 'confirm_sweep', [region, 0, 'ann']))).toBe(refused)
      expect(
        await fleet.sql(`select id, sweep_confirmed_until between now() + interval '590 s' and now() + interval '600 s' as lasts
          from fleet.regions order by id`),
      ).toEqual([
        { id: region, lasts: true },
        { id: 'local/other', lasts: null },
      ])
      expect(await fleet.sql('select table_name, region_id from fleet.changes')).toEqual([
        { table_name: 'regions', region_id: region },
      ])
      expect(await fleet.sql('select actor, act, details from fleet.audit')).toEqual([
        { actor: 'ann', act: 'sweep-confirmed', details: { region, seconds: 600 } },
      ])
    },
    without: [
      piece('confirm_sweep', 'where r.id = confirm_sweep.region_id'),
      piece('confirm_sweep', 'if found then', 'if false then'),
      piece('confirm_sweep', 'if confirm_sweep.seconds <= 0', 'if false'),
    ],
  },
])
