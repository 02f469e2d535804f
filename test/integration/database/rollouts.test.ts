import { expect } from 'vitest'

import { rolloutStates, rolloutTransitionIsLegal } from '../../../src/model/rollout.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { call, constraint, index, piece, proveDefences, refusalOf, refused, trigger } from './defence.ts'
import { imagesOf, other, region, seedRegions, seedRollout, walk } from './rollout-seed.ts'

const ageOf = async (fleet: FleetDatabase, id: string) =>
  (
    await fleet.sql(
      'select extract(epoch from now() - state_since)::int as age, paused_at from fleet.rollouts where id = $1',
      [id],
    )
  )[0]!

proveDefences('roll-outs hold against plain SQL', [
  {
    holds: 'a state follows another as the model says, both ways',
    check: async (fleet) => {
      await seedRegions(fleet)
      for (const was of rolloutStates) {
        for (const becomes of rolloutStates) {
          await fleet.sql('delete from fleet.rollouts')
          await fleet.sql(
            `delete from fleet.images where id <> '${region}/image' and region_id = '${region}'`,
          )
          await fleet.sql(`alter table fleet.images disable trigger guard`)
          await fleet.sql(`update fleet.images set status = 'ACTIVE' where id = '${region}/image'`)
          await fleet.sql(`alter table fleet.images enable trigger guard`)
          const id = await seedRollout(fleet, { state: was })
          const isLegal = was === becomes || rolloutTransitionIsLegal(was, becomes)
          const refusal = await refusalOf(walk(fleet, id, [becomes]))
          expect(refusal, `${was} to ${becomes}`).toBe(isLegal ? undefined : refused)
        }
      }
    },
    without: [
      trigger('rollouts', 'guard'),
      piece('rollout_transition_is_legal', `becomes in ('SWITCHED', 'ROLLING_BACK')`, `becomes = 'SWITCHED'`),
    ],
  },
  {
    holds:
      'images follow: one is ACTIVE at every moment, and what was retired comes back by the way back only',
    check: async (fleet) => {
      await seedRegions(fleet)
      const id = await seedRollout(fleet, { state: 'CANARY' })
      expect(await imagesOf(fleet)).toBe('ACTIVE CANDIDATE')
      await walk(fleet, id, ['SWITCHED'])
      expect(await imagesOf(fleet)).toBe('RETIRED ACTIVE')
      expect(
        await refusalOf(fleet.sql(`update fleet.images set status = 'ACTIVE' where id = '${region}/image'`)),
      ).toBe(refused)
      await walk(fleet, id, ['ROLLING_BACK'])
      expect(await imagesOf(fleet)).toBe('ACTIVE RETIRED')
      await walk(fleet, id, ['ROLLED_BACK'])
      const late = await seedRollout(fleet, { state: 'PREPARING' })
      await walk(fleet, late, ['ROLLING_BACK'])
      expect(await imagesOf(fleet)).toBe('ACTIVE RETIRED RETIRED')
    },
    without: [trigger('rollouts', 'follow')],
  },
  {
    holds: 'what a roll-out leads from or to changes with it alone, whenever the other transaction began',
    check: async (fleet) => {
      await seedRegions(fleet)
      const early = await fleet.connect()
      await early.query('begin; select now()')
      const id = await seedRollout(fleet)
      const change = (image: string, status: string) =>
        refusalOf(fleet.sql('update fleet.images set status = $2 where id = $1', [image, status]))
      expect(await change(id, 'RETIRED')).toBe(refused)
      expect(await change(`${region}/image`, 'RETIRED')).toBe(refused)
      await walk(fleet, id, ['READY', 'SWITCHED'])
      expect(
        await refusalOf(early.query(`update fleet.images set status = 'RETIRED' where id = '${id}'`)),
      ).toBe(refused)
      expect(await change(id, 'RETIRED')).toBe(refused)
      await walk(fleet, id, ['DRAINING'])
      expect(await change(id, 'RETIRED')).toBe(undefined)
    },
    without: [trigger('images', 'guard'), piece('guard_image', `, 'SWITCHED')`, `)`)],
  },
  {
    holds: 'it begins as PREPARING, from the ACTIVE image of its region to a CANDIDATE of it, once',
    check: async (fleet) => {
      await seedRegions(fleet)
      const image = (id: string, of: string, status = 'CANDIDATE') =>
        fleet.sql(
          `insert into fleet.images (id, region_id, image_id, version, status) values ($1, $2, $1, 'v2', $3)`,
          [id, of, status],
        )
      await image('new', region)
      await image('old', region, 'RETIRED')
      await image('foreign', other)
      const insert = (
        to: string,
        { from = `${region}/image`, version = 'v2', state = 'PREPARING', id = to } = {},
      ) =>
        refusalOf(
          fleet.sql(
            `insert into fleet.rollouts (id, region_id, group_id, from_image, to_image, version, state)
             values ($1, '${region}', $1, $2, $3, $4, $5)`,
            [id, from, to, version, state],
          ),
        )
      expect(await insert('old')).toBe(refused)
      expect(await insert('foreign')).toBe(refused)
      expect(await insert('new', { from: 'old' })).toBe(refused)
      expect(await insert('new', { from: `${other}/image` })).toBe(refused)
      expect(await insert('new', { version: 'v3' })).toBe(refused)
      expect(await insert('new', { state: 'READY' })).toBe(refused)
      expect(await insert('new', { id: 'else' })).toBe(refused)
      expect(await insert('new')).toBe(undefined)
      expect(await insert('new')).toBe('23505')
    },
    without: [
      trigger('rollouts', 'guard'),
      constraint('rollouts', 'rollouts_id_is_candidate'),
      piece('guard_rollout', `and i.version = new.version`),
      piece(
        'guard_rollout',
        `where i.id = new.from_image and i.region_id = new.region_id`,
        'where i.id = new.from_image',
      ),
    ],
  },
  {
    holds: 'a candidate that is retired while its roll-out is inserted gets none',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version) values ('new', '${region}', 'x', 'v2')`,
      )
      const [retirer, opener] = [await fleet.connect(), await fleet.connect()]
      await retirer.query(`begin; update fleet.images set status = 'RETIRED' where id = 'new'`)
      const opened =
        opener.query(`insert into fleet.rollouts (id, region_id, group_id, from_image, to_image, version)
        values ('new', '${region}', 'new', '${region}/image', 'new', 'v2')`)
      const refusal = refusalOf(opened)
      // It waits for the image, or it is through before the other has ended.
      await fleet.sql('select pg_sleep(0.05)')
      await retirer.query('commit')
      expect(await refusal).toBe(refused)
    },
    without: [piece('guard_rollout', 'order by i.id for no key update', '')],
  },
  {
    holds: 'one leads its region',
    check: async (fleet) => {
      await seedRegions(fleet)
      await seedRollout(fleet)
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version) values ('new', '${region}', 'x', 'v2')`,
      )
      const second =
        fleet.sql(`insert into fleet.rollouts (id, region_id, group_id, from_image, to_image, version)
        values ('new', '${region}', 'new', '${region}/image', 'new', 'v2')`)
      expect(await refusalOf(second)).toBe('23505')
    },
    without: [index('rollouts_one_leading')],
  },
  {
    holds: 'what it is about never changes, and what the daemon writes of itself is its own',
    check: async (fleet) => {
      await seedRegions(fleet)
      const id = await seedRollout(fleet)
      for (const change of [
        `id = 'x'`,
        `region_id = '${other}'`,
        `group_id = 'x'`,
        `from_image = '${other}/image'`,
        `version = 'x'`,
        'canary_share = 0.5',
        `options = '{"bake_s": 1}'`,
      ]) {
        // prettier-ignore
        expect(await refusalOf(fleet.sql(`update fleet.rollouts set ${change} where id = $1`, [id])), change).toBe(refused)
      }
      await fleet.sql(`update fleet.rollouts set state_since = now() - interval '1 hour', paused_at = now()`)
      expect(await ageOf(fleet, id)).toMatchObject({ age: 0, paused_at: null })
    },
    without: [trigger('rollouts', 'guard'), piece('guard_rollout', 'new.state_since := old.state_since;')],
  },
  {
    holds: 'the time that it is paused does not count',
    check: async (fleet) => {
      await seedRegions(fleet)
      const id = await seedRollout(fleet)
      await fleet.sql('alter table fleet.rollouts disable trigger guard')
      await fleet.sql(
        `update fleet.rollouts set state_since = now() - interval '1 hour', paused = true, paused_at = now() - interval '50 minutes'`,
      )
      await fleet.sql('alter table fleet.rollouts enable trigger guard')
      await call(fleet.pool, 'steer_rollout', [id, 'pause', 'anna'])
      expect(await ageOf(fleet, id)).toMatchObject({ age: 3600 })
      await call(fleet.pool, 'steer_rollout', [id, 'resume', 'anna'])
      expect(await ageOf(fleet, id)).toMatchObject({ age: 600, paused_at: null })
      // A state that is entered while it is paused begins now.
      await fleet.sql('update fleet.rollouts set paused = true')
      await walk(fleet, id, ['ROLLING_BACK'])
      expect((await ageOf(fleet, id))['paused_at']).toEqual(expect.any(Date))
      await fleet.sql('update fleet.rollouts set paused = false')
      expect(await ageOf(fleet, id)).toMatchObject({ age: 0, paused_at: null })
    },
    without: [piece('guard_rollout', 'old.state_since + (now() - old.paused_at)', 'old.state_since')],
  },
  {
    holds:
      'a member that goes back says so to its group, unless failures are left out or it is past its switch',
    check: async (fleet) => {
      await seedRegions(fleet)
      const wish = async (id: string) =>
        (await fleet.sql('select rollback_wanted from fleet.rollouts where id = $1', [id]))[0]![
          'rollback_wanted'
        ] as string | null
      const one = await seedRollout(fleet, { group: 'bound' })
      const two = await seedRollout(fleet, { of: other, group: 'bound', state: 'READY' })
      await fleet.sql(`update fleet.rollouts set state = 'ROLLING_BACK', reason = 'bad' where id = $1`, [one])
      expect(await wish(two)).toBe(`its group goes back with ${region}: bad`)
      await walk(fleet, two, ['ROLLING_BACK'])
      expect(await wish(one)).toBeNull()
      const options = { on_member_failure: 'leave-out' }
      const three = await seedRollout(fleet, { group: 'loose', options })
      const four = await seedRollout(fleet, { of: other, group: 'loose', options })
      await walk(fleet, three, ['ROLLING_BACK'])
      expect(await wish(four)).toBeNull()
    },
    without: [
      piece('follow_rollout', 'if fleet.is_bound(new) then', 'if false then'),
      piece('is_bound', `<> 'leave-out'`, `<> 'x'`),
    ],
  },
  {
    holds: 'a version is of its channel for good, and news to each region of it',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.seedRegion('local/edge', { channel: 'edge' })
      await fleet.sql('delete from fleet.changes')
      await fleet.sql(`insert into fleet.versions (channel, version) values ('default', 'v1')`)
      await fleet.sql(`update fleet.versions set version = 'v2'`)
      expect(await refusalOf(fleet.sql(`update fleet.versions set channel = 'edge'`))).toBe(refused)
      await fleet.sql('delete from fleet.versions')
      const news = await fleet.sql(
        'select table_name, row_id, region_id from fleet.changes order by sequence',
      )
      expect(news).toEqual(
        Array.from({ length: 3 }, () => [region, other])
          .flat()
          .map((of) => ({ table_name: 'versions', row_id: 'default', region_id: of })),
      )
    },
    without: [
      trigger('versions', 'guard'),
      trigger('versions', 'note_change'),
      piece('note_version_change', 'where r.channel = coalesce(new.channel, old.channel)'),
    ],
  },
  {
    holds: 'a version that is deleted and set anew is newer than what it was, for whoever holds that',
    check: async (fleet) => {
      const revision = async () =>
        (await fleet.sql('select revision from fleet.versions'))[0]!['revision'] as number
      await fleet.sql(`insert into fleet.versions (channel, version) values ('default', 'v1')`)
      await fleet.sql(`update fleet.versions set version = 'v2'`)
      const before = await revision()
      await fleet.sql('delete from fleet.versions')
      await fleet.sql(`insert into fleet.versions (channel, version) values ('default', 'v3')`)
      expect(await revision()).toBeGreaterThan(before)
    },
    without: [
      async (database) => {
        await database.sql('alter table fleet.versions alter column revision set default 1')
        return 'the default of versions.revision'
      },
    ],
  },
])
