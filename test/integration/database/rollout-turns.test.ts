import { expect } from 'vitest'

import { both as together, piece, proveDefences, refusalOf, refused } from './defence.ts'
import {
  imagesOf,
  other,
  region,
  seedRegions,
  seedRollout,
  start,
  stateOf,
  turnOf,
  walk,
} from './rollout-seed.ts'

proveDefences('roll-outs in turns', [
  {
    holds: 'a step that came too late, or is of another region, is not done, and the decision says so',
    check: async (fleet) => {
      await seedRegions(fleet)
      const [id, foreign] = [await seedRollout(fleet), await seedRollout(fleet, { of: other })]
      const steps = [id, foreign, 'nobody'].map((target, place) => ({
        id: target,
        place,
        from: place === 0 ? 'READY' : 'PREPARING',
        to: 'ROLLING_BACK',
      }))
      const decisions = steps.map(({ id: target, place }) => ({
        place,
        kind: 'rollout',
        target,
        reason: 'r',
      }))
      await turnOf(fleet, region, { decisions, rollouts: steps })
      expect([await stateOf(fleet, id), await stateOf(fleet, foreign)]).toEqual(['PREPARING', 'PREPARING'])
      expect(await fleet.sql('select distinct kind from fleet.decisions')).toEqual([{ kind: 'refuse' }])
      await turnOf(fleet, region, {
        rollouts: [{ id, place: 0, from: 'PREPARING', to: 'READY', wanted_free: 3 }],
      })
      const [row] = await fleet.sql('select state, wanted_free, reason from fleet.rollouts where id = $1', [
        id,
      ])
      expect(row).toEqual({ state: 'READY', wanted_free: 3, reason: 'its buffer is launched' })
    },
    without: [
      piece('step_rollouts', `and r.state = item ->> 'from'`),
      piece('step_rollouts', `and r.region_id = region.id and r.state`, 'and r.state'),
      piece('step_rollouts', `coalesce(item ->> 'reason', r.reason)`, `item ->> 'reason'`),
    ],
  },
  {
    holds: 'what a turn opens is of its region; what led gives way',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version) values ('foreign', '${other}', 'x', 'v2')`,
      )
      const open = (id: string, parts = {}) =>
        turnOf(fleet, region, {
          opened: [{ id, place: 0, ...parts }],
          decisions: [{ place: 0, kind: 'rollout', target: id, reason: 'r' }],
        })
      await open('foreign')
      await open('copied', { copies: `${other}/image` })
      expect(await fleet.sql('select id from fleet.rollouts')).toEqual([])
      expect(await fleet.sql(`select id from fleet.images where id = 'copied'`)).toEqual([])
      await open('copy', { copies: `${region}/image`, switch_wanted: true, options: { canary_share: 3 } })
      expect(await fleet.sql('select id, version, canary_share, switch_wanted from fleet.rollouts')).toEqual([
        { id: 'copy', version: 'v1', canary_share: 1, switch_wanted: true },
      ])
      await open('second', { copies: `${region}/image` })
      expect(await stateOf(fleet, 'copy')).toBe('ROLLING_BACK')
      await walk(fleet, 'second', ['READY', 'SWITCHED'])
      expect(await refusalOf(open('third', { copies: `${region}/image` }))).toBe(undefined)
      expect(await stateOf(fleet, 'second')).toBe('DRAINING')
      expect(await fleet.sql(`select from_image from fleet.rollouts where id = 'third'`)).toEqual([
        { from_image: 'second' },
      ])
    },
    without: [
      piece(
        'step_rollouts',
        `where i.id = item ->> 'id' and i.region_id = region.id`,
        `where i.id = item ->> 'id'`,
      ),
      piece(
        'step_rollouts',
        `where i.id = item ->> 'copies' and i.region_id = region.id`,
        `where i.id = item ->> 'copies'`,
      ),
      piece('open_rollout', `when 'SWITCHED' then 'DRAINING'`, `when 'SWITCHED' then 'ROLLING_BACK'`),
    ],
  },
  {
    holds: 'hosts may be launched beyond max_hosts while a roll-out is open, by max_surge_hosts at most',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.sql(`update fleet.regions set max_hosts = 1, max_surge_hosts = 2 where id = '${region}'`)
      await fleet.seedHosts(['old'])
      const launch = async (count: number, surge = 9) => {
        const host = { place: 0, image_id: `${region}/image`, version: 'v1', capacity: 2, reason: 'r' }
        const hosts = Array.from({ length: count }, (_, number) => ({ ...host, id: `h${count}-${number}` }))
        return (await turnOf(fleet, region, { hosts, surge })).length
      }
      expect(await launch(1)).toBe(0)
      const id = await seedRollout(fleet)
      expect(await launch(3)).toBe(0)
      expect(await launch(2, 1)).toBe(0)
      expect(await launch(2)).toBe(1)
      await walk(fleet, id, ['ROLLING_BACK', 'ROLLED_BACK'])
      await fleet.sql(`update fleet.regions set max_hosts = 3 where id = '${region}'`)
      expect(await launch(1)).toBe(0)
    },
    without: [
      piece('surge_allowed', `and r.state not in ('DONE', 'ROLLED_BACK')`),
      piece('surge_allowed', 'then region.max_surge_hosts', 'then 0'),
    ],
  },
  {
    holds: 'a plan that moves a roll-out is no repeated word',
    check: async (fleet) => {
      await seedRegions(fleet)
      const id = await seedRollout(fleet)
      const decisions = [{ place: 0, kind: 'report', target: null, reason: 'waits' }]
      await turnOf(fleet, region, { decisions })
      await turnOf(fleet, region, { decisions, rollouts: [{ id, place: 1, from: 'PREPARING', to: 'READY' }] })
      expect(await stateOf(fleet, id)).toBe('READY')
    },
    without: [piece('repeated_words', `'rollouts', 'opened'`, `'opened'`)],
  },
])

proveDefences('start_rollouts: one file for many regions', [
  {
    holds: 'it may be repeated, and gives what is there',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.sql(`insert into fleet.regions (id, provider) values ('local/empty', 'local')`)
      const wish = (id: string, version = 'v2') => ({ region_id: id, image_id: `ami-${version}`, version })
      const all = [wish(region), wish('local/empty'), wish(other)]
      const first = await start(fleet, all, 'g')
      expect(first.map((row) => `${String(row['region_id'])} ${String(row['status'])}`)).toEqual([
        `${region} CANDIDATE`, 'local/empty ACTIVE', `${other} CANDIDATE`,
      ].sort()) // prettier-ignore
      const idsOf = (rows: readonly object[]) => rows.map((row) => (row as { id: string }).id)
      expect(idsOf(await start(fleet, all, 'again'))).toEqual(idsOf(first))
      expect(await fleet.sql('select distinct group_id from fleet.rollouts')).toEqual([{ group_id: 'g' }])
      expect(await fleet.sql('select act from fleet.audit order by act')).toEqual(
        ['image-activated', 'rollout-started', 'rollout-started'].map((act) => ({ act })),
      )
      // While it leads, what is ACTIVE is another; once it is switched, it is this one.
      expect(await start(fleet, [{ ...wish(region, 'v1'), image_id: 'v1' }])).not.toEqual([])
      expect(
        await stateOf(
          fleet,
          idsOf(first).find((id) => id !== '')!,
        ),
      ).toBeDefined()
      expect(await fleet.sql(`select state from fleet.rollouts where region_id = '${region}' order by created_at`)).toEqual([
        { state: 'ROLLING_BACK' }, { state: 'PREPARING' },
      ]) // prettier-ignore
    },
    without: [
      piece(
        'start_rollouts',
        `i.version = item ->> 'version'\n        and case`,
        `i.version = 'none'\n        and case`,
      ),
      piece(
        'start_rollouts',
        `case when is_rollout then 'rollout-started' else 'image-activated' end`,
        `'rollout-started'`,
      ),
    ],
  },
  {
    holds: 'all regions or none; none twice, none that is not there; no region is no fault',
    check: async (fleet) => {
      await seedRegions(fleet)
      const wish = (id: string, version = 'v2') => ({ region_id: id, image_id: 'x', version })
      expect(await refusalOf(start(fleet, [wish(region), wish('local/zzz')]))).toBe(refused)
      expect(await refusalOf(start(fleet, [wish(region), wish(other), wish(region, 'v3')]))).toBe(refused)
      expect(await start(fleet, [])).toEqual([])
      expect(await fleet.sql('select id from fleet.rollouts')).toEqual([])
    },
    without: [
      piece('start_rollouts', 'having count(*) > 1', 'having false'),
      piece(
        'start_rollouts',
        `if not exists (select 1 from fleet.regions r where r.id = item ->> 'region_id') then`,
        'if false then',
      ),
    ],
  },
  {
    holds: 'a CANDIDATE that came by hand is taken, not doubled',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version) values ('mine', '${region}', 'ami-2', 'v2')`,
      )
      expect(await seedRollout(fleet)).toBe('mine')
      expect(await imagesOf(fleet)).toBe('ACTIVE CANDIDATE')
    },
    without: [
      piece('start_rollouts', `and i.status = 'CANDIDATE' and not exists`, 'and false and not exists'),
    ],
  },
  {
    holds: 'the same request from many at once is one roll-out for each region',
    check: async (fleet) => {
      await seedRegions(fleet)
      // Once may go well by luck.
      for (const version of ['v2', 'v3', 'v4', 'v5', 'v6', 'v7', 'v8', 'v9']) {
        const wish = (id: string) => ({ region_id: id, image_id: `ami-${version}`, version })
        const both = [wish(region), wish(other)]
        const answers = await Promise.all(
          Array.from({ length: 12 }, (_, number) =>
            start(fleet, number % 2 === 0 ? both : both.toReversed(), `${version}-${number}`).catch(
              (error: unknown) => [{ id: String(error) }],
            ),
          ),
        )
        expect(new Set(answers.flat().map((row) => row['id'] as string)).size).toBe(2)
        expect(
          await fleet.sql(
            `select count(distinct group_id)::int as groups, count(*)::int as rows from fleet.rollouts where version = '${version}'`,
          ),
        ).toEqual([{ groups: 1, rows: 2 }])
      }
    },
    without: [
      together(
        piece(
          'start_rollouts',
          'perform 1 from fleet.regions r where region_ids ? r.id order by r.id for no key update;',
        ),
        piece(
          'start_rollouts',
          `perform 1 from fleet.images i where region_ids ? i.region_id and i.status <> 'RETIRED' order by i.id for no key update;`,
        ),
      ),
    ],
  },
])
