import { expect } from 'vitest'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { sha256 } from './trust-seed.ts'
import { both, call, ids, piece, proveDefences, refusalOf, refused, tally, trigger } from './defence.ts'

const launch = 'local/demo:1.0'
const spot = { instanceType: 'small', zone: 'a', lifecycle: 'spot', agents: 3 }
const onDemand = { ...spot, lifecycle: 'on-demand', agents: 4 }

/** A launch of three hosts that a turn has stored: nothing was asked for yet. */
async function seed(fleet: FleetDatabase, columns: Row = {}): Promise<void> {
  await fleet.seedRegion('local/demo', columns)
  await fleet.seedHosts(ids('h', 3), { status: 'LAUNCHING', launch_id: launch, address: null })
  await fleet.sql(
    `insert into fleet.decisions (id, region_id, turn, place, kind, reason) values ($1, 'local/demo', 1, 0, 'launch', 'wanted')`,
    [launch],
  )
  await fleet.sql(
    `insert into fleet.actions (id, decision_id, region_id, kind, params, attempts) values ($1, $1, 'local/demo', 'launch', '{"count": 3}', 1)`,
    [launch],
  )
  await fleet.takeLease()
}

/** Of all the launch's calls here. */
const token = { id: 't1', secret_hash: sha256('t1'), uses: 3, lifetime_s: 900 }

const begin = (
  fleet: FleetDatabase,
  offering: object = spot,
  request: object = { n: 1 },
  id = launch,
  fence = 1,
) => call(fleet.pool, 'begin_call', [id, fence, offering, request, token])
const refuse = (fleet: FleetDatabase, next: object | null = onDemand, blockS = 180, id = launch, fence = 1) =>
  call(fleet.pool, 'refuse_call', [id, fence, 'insufficient-capacity', 'none left', blockS, next])
const finish = (fleet: FleetDatabase, result: object, id = launch) =>
  call(fleet.pool, 'finish_launch', [id, 1, result])
const statuses = async (fleet: FleetDatabase) =>
  tally((await fleet.sql('select status from fleet.hosts')).map((row): unknown => row['status']))
const blocks = (fleet: FleetDatabase) =>
  fleet.sql(
    `select instance_type, lifecycle, code, round(extract(epoch from until - now()))::integer as seconds
      from fleet.blocked_offerings order by id`,
  )

const withoutLease = (name: string) => piece(name, `fleet.lease_is_held(${name}.fence)`, 'true')

proveDefences('a call of a launch is stored before it is made', [
  {
    holds:
      'the first word stands: a repeat finds offering and request as they were stored, and knows that it is one',
    check: async (fleet) => {
      await seed(fleet)
      expect(await begin(fleet)).toMatchObject([{ status: 'RUNNING', offering: spot, is_repeat: false }])
      expect(await begin(fleet, onDemand, { n: 2 })).toMatchObject([
        { offering: spot, request: { n: 1 }, is_repeat: true },
      ])
      const hosts = await fleet.sql('select instance_type, zone, lifecycle, capacity from fleet.hosts')
      const asked = { instance_type: 'small', zone: 'a', lifecycle: 'spot', capacity: 2 }
      expect(hosts).toEqual([asked, asked, asked])
    },
    without: [
      piece('begin_call', 'coalesce(a.request, begin_call.request)', 'begin_call.request'),
      piece('begin_call', 'is_repeat = a.is_repeat or a.is_calling', 'is_repeat = a.is_repeat'),
      piece('begin_call', 'capacity = coalesce(region.agents_per_host, ', 'capacity = coalesce('),
    ],
  },
  {
    holds: "the token of its machines is stored with it; none is made under another launch's token",
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      expect(await fleet.sql('select id, launch_id, uses from fleet.enrolment_tokens')).toEqual([
        { id: 't1', launch_id: launch, uses: 3 },
      ])
      await fleet.sql(`update fleet.enrolment_tokens set launch_id = 'another'`)
      expect(await begin(fleet)).toEqual([])
    },
    without: [
      piece('begin_call', 'fleet.store_launch_token(', 'concat('),
      piece(
        'begin_call',
        'if not found then\n    return;\n  end if;\n  if action.request',
        'if action.request',
      ),
    ],
  },
  {
    holds: 'hosts hold as many agents as their type does, where the region leaves it open',
    check: async (fleet) => {
      await seed(fleet, { agents_per_host: null, discovered_agents: 1 })
      await begin(fleet)
      expect(await fleet.sql('select distinct capacity from fleet.hosts')).toEqual([{ capacity: 3 }])
    },
    without: [piece('begin_call', `(action.offering ->> 'agents')::integer, `)],
  },
  {
    holds:
      'a call that was surely not carried out makes the next one no repeat; one without an answer does for ever',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      await call(fleet.pool, 'settle_call', [launch, 1])
      expect(await begin(fleet)).toMatchObject([{ is_repeat: false }])
      expect(await begin(fleet)).toMatchObject([{ is_repeat: true }])
      await call(fleet.pool, 'settle_call', [launch, 1])
      expect(await begin(fleet)).toMatchObject([{ is_repeat: true }])
    },
    without: [
      piece('settle_call', 'is_calling = false', 'is_calling = true'),
      piece('begin_call', 'is_repeat = a.is_repeat or a.is_calling', 'is_repeat = a.is_calling'),
    ],
  },
  {
    holds: 'what nobody wants any more is not asked for, unless it may have been',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql(`update fleet.hosts set status = 'DRAINING'`)
      expect(await begin(fleet)).toMatchObject([{ status: 'CANCELLED' }])
      expect(await statuses(fleet)).toEqual({ TERMINATED: 3 })
      expect(await begin(fleet)).toEqual([])

      await fleet.sql(`update fleet.actions set status = 'RUNNING', is_calling = true, finished_at = null`)
      expect(await begin(fleet)).toMatchObject([{ status: 'RUNNING', is_repeat: true }])
    },
    without: [
      piece('begin_call', 'if not action.is_calling and not action.is_repeat', 'if false'),
      piece('begin_call', 'if not action.is_calling and not action.is_repeat', 'if true'),
      piece('begin_call', `or action.status not in ('QUEUED', 'RUNNING')`),
    ],
  },
  {
    holds: 'only the daemon with the lease begins, settles, refuses, discovers',
    check: async (fleet) => {
      await seed(fleet)
      expect(await begin(fleet, spot, {}, launch, 7)).toEqual([])
      expect(await call(fleet.pool, 'settle_call', [launch, 7])).toEqual([])
      expect(await refuse(fleet, null, 180, launch, 7)).toEqual([])
      expect(await call(fleet.pool, 'store_discovery', ['local/demo', 7, 5, null, null])).toEqual([])
    },
    without: [
      both(withoutLease('begin_call'), withoutLease('store_launch_token')),
      ...['settle_call', 'refuse_call', 'store_discovery'].map(withoutLease),
    ],
  },
])

proveDefences('a refusal blocks the offering, is on record, and leads to the next call', [
  {
    holds: 'the next call is another action of the same launch, with its own attempt',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      expect(await refuse(fleet)).toMatchObject([
        { id: launch, status: 'FAILED', error_code: 'insufficient-capacity' },
        {
          id: `${launch}~2`,
          launch_id: launch,
          attempt: 2,
          status: 'RUNNING',
          offering: onDemand,
          params: { count: 3 },
        },
      ])
      expect(await statuses(fleet)).toEqual({ LAUNCHING: 3 })
      expect(await blocks(fleet)).toEqual([
        { instance_type: 'small', lifecycle: 'spot', code: 'insufficient-capacity', seconds: 180 },
      ])
      const [decision] = await fleet.sql(
        `select kind, target, reason from fleet.decisions where kind = 'refuse'`,
      )
      expect(decision).toEqual({
        kind: 'refuse',
        target: launch,
        reason: 'small a spot: insufficient-capacity: none left; next: small a on-demand',
      })
      expect(await fleet.sql('select launch_failures from fleet.regions')).toEqual([{ launch_failures: 0 }])
      // A doubled answer refuses nothing twice.
      expect(await refuse(fleet).catch(() => 'an error')).toEqual([])

      expect(await begin(fleet, spot, { n: 2 }, `${launch}~2`)).toMatchObject([
        { offering: onDemand, is_repeat: false },
      ])
      await finish(fleet, { cloud_ids: ['m1', 'm2', 'm3'] }, `${launch}~2`)
      expect(await statuses(fleet)).toEqual({ PRE_CONNECTION: 3 })
    },
    without: [
      piece('refuse_call', 'perform fleet.block_offering', 'perform jsonb_build_array'),
      piece('refuse_call', `or action.status not in ('QUEUED', 'RUNNING')`),
      piece('refuse_call', 'action.attempt + 1', 'action.attempt + 2'),
      piece('finish_launch', 'fleet.end_launch(action.launch_id', 'fleet.end_launch(action.id'),
    ],
  },
  {
    holds: 'the last one ends the launch and holds back the region; so does one whose hosts nobody wants',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      expect(await refuse(fleet, null)).toHaveLength(1)
      expect(await statuses(fleet)).toEqual({ TERMINATED: 3 })
      expect(await fleet.sql('select launch_failures, launch_error_code from fleet.regions')).toEqual([
        { launch_failures: 1, launch_error_code: 'insufficient-capacity' },
      ])

      await fleet.sql('delete from fleet.hosts')
      await fleet.seedHosts(ids('g', 2), { status: 'DRAINING', launch_id: launch })
      await fleet.sql(`update fleet.hosts set cloud_id = null`)
      await fleet.sql(`update fleet.actions set status = 'RUNNING'`)
      expect(await refuse(fleet)).toHaveLength(1)
      expect(await statuses(fleet)).toEqual({ TERMINATED: 2 })
      expect(await fleet.sql('select launch_failures from fleet.regions')).toEqual([{ launch_failures: 1 }])
    },
    without: [
      piece('refuse_call', 'perform fleet.end_launch', 'perform concat'),
      piece('refuse_call', 'perform fleet.hold_launches', 'perform concat'),
      piece('refuse_call', 'upcoming is not null and is_wanted', 'upcoming is not null'),
    ],
  },
  {
    holds:
      'a partial answer blocks what ran out and leaves the region open; a whole refusal holds it until the block ends',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      const shortfall = { code: 'insufficient-capacity', message: 'one only', block_s: 180 }
      await finish(fleet, { cloud_ids: ['m1'], ...shortfall })
      expect(await statuses(fleet)).toEqual({ PRE_CONNECTION: 1, TERMINATED: 2 })
      expect(await blocks(fleet)).toHaveLength(1)
      expect(await fleet.sql('select launch_blocked_until from fleet.regions')).toEqual([
        { launch_blocked_until: null },
      ])

      await fleet.sql(`update fleet.actions set status = 'RUNNING'`)
      const until = new Date(Date.now() + 120_000).toISOString()
      await finish(fleet, { cloud_ids: [], ...shortfall, until })
      const [region] = await fleet.sql('select launch_blocked_until >= $1 as waits from fleet.regions', [
        until,
      ])
      expect(region).toEqual({ waits: true })

      // The first block's own end is what counts, where a daemon's clock is behind.
      await fleet.sql(`update fleet.actions set status = 'RUNNING'`)
      await fleet.sql('update fleet.regions set launch_failures = 0, launch_blocked_until = null')
      await finish(fleet, { cloud_ids: [], ...shortfall, until: new Date(Date.now() + 1000).toISOString() })
      const [held] = await fleet.sql(
        'select r.launch_blocked_until = b.until as exactly from fleet.regions r, fleet.blocked_offerings b',
      )
      expect(held).toEqual({ exactly: true })
    },
    without: [
      piece('finish_launch', 'perform fleet.block_offering', 'perform concat'),
      piece('finish_launch', 'if not (is_partial and ', 'if not (false and '),
      piece('hold_launches', 'is not null', 'is null'),
      piece('hold_launches', '(select min(b.until)', '(select null::timestamptz'),
    ],
  },
  {
    holds: 'a block lasts as long as the longest refusal said, is news, and is forgotten a day after its end',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      await refuse(fleet, onDemand, 900)
      await begin(fleet, spot, {}, `${launch}~2`)
      await refuse(fleet, spot, 60, `${launch}~2`)
      await refuse(fleet, spot, 60, `${launch}~3`)
      expect((await blocks(fleet)).map((row): unknown => row['seconds'])).toEqual([60, 900])
      expect(
        await fleet.sql(`select count(*)::integer from fleet.changes where table_name = 'blocked_offerings'`),
      ).toEqual([{ count: 3 }])
      await fleet.sql(
        `update fleet.blocked_offerings set until = now() - interval '2 days' where lifecycle = 'on-demand'`,
      )
      await refuse(fleet, onDemand, 60, `${launch}~4`)
      expect(await blocks(fleet)).toHaveLength(1)
    },
    without: [
      piece('block_offering', 'greatest(b.until, excluded.until)', 'excluded.until'),
      piece('block_offering', `interval '1 day'`, `interval '3 days'`),
      trigger('blocked_offerings', 'note_change'),
    ],
  },
  {
    holds: 'a block stays what it is of',
    check: async (fleet) => {
      await seed(fleet)
      await begin(fleet)
      await refuse(fleet)
      for (const change of [`id = 'x'`, `zone = 'b'`, `instance_type = 'x'`, `lifecycle = 'on-demand'`]) {
        expect(await refusalOf(fleet.sql(`update fleet.blocked_offerings set ${change}`))).toBe(refused)
      }
    },
    without: [trigger('blocked_offerings', 'guard')],
  },
])

proveDefences('what a region can hold is found out', [
  {
    holds: 'a number clears the word of why there was none; a failure is said only while there is none',
    check: async (fleet) => {
      await seed(fleet, { agents_per_host: null })
      const say = (...found: unknown[]) => call(fleet.pool, 'store_discovery', ['local/demo', 1, ...found])
      expect(await say(null, 'invalid-request', 'mend it')).toMatchObject([
        { discovered_agents: null, launch_error_code: 'invalid-request', launch_error: 'mend it' },
      ])
      const [known] = await say(4, null, null)
      expect(known).toMatchObject({ discovered_agents: 4, launch_error_code: null, launch_error: null })
      expect(await say(null, 'transient', 'later')).toEqual([known])
      expect(await say(4, null, null)).toEqual([known])
    },
    without: [
      piece('store_discovery', 'and r.discovered_agents is null'),
      piece('store_discovery', 'and r.discovered_agents is distinct from agents'),
      piece(
        'store_discovery',
        'case when r.launch_failures > 0 then r.launch_error_code end',
        'r.launch_error_code',
      ),
    ],
  },
])
