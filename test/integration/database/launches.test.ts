import { expect } from 'vitest'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import {
  both,
  call,
  ids,
  index,
  piece,
  proveDefences,
  refusalOf,
  refused,
  tally,
  trigger,
} from './defence.ts'
import { launch, redeem, sha256 } from './trust-seed.ts'

/** A launch of three hosts under way. */
async function seed(fleet: FleetDatabase, count = 3): Promise<void> {
  await fleet.seedRegion()
  await fleet.seedHosts(ids('h', count), { status: 'LAUNCHING', launch_id: launch, address: null })
  await fleet.sql(
    `insert into fleet.actions (id, decision_id, region_id, kind) values ($1, $1, 'local/demo', 'launch')`,
    [launch],
  )
  await fleet.takeLease()
  await call(fleet.pool, 'store_launch_token', [launch, 't1', sha256('t1'), count, 900, 1])
  await Promise.all(Array.from({ length: 12 }, () => fleet.sql('select pg_sleep(0.05)')))
}

const bind = (fleet: FleetDatabase, ...machines: string[]) =>
  call(fleet.pool, 'bind_launch', [launch, machines])
const finish = (fleet: FleetDatabase, result: object, fence = 1) =>
  call(fleet.pool, 'finish_launch', [launch, fence, result])
const hostsOf = (fleet: FleetDatabase): Promise<Row[]> =>
  fleet.sql(
    `select h.id, h.status, h.cloud_id, b.enrolled_spki_hash is not null as enrolled
      from fleet.hosts h left join fleet.backends b on b.host_id = h.id order by h.id`,
  )

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length <= 1) return [items]
  return items.flatMap((item, place) =>
    permutations(items.filter((_, other) => other !== place)).map((rest) => [item, ...rest]),
  )
}

proveDefences('a machine is bound to one row of its launch, and a row to one machine', [
  {
    holds: 'in whatever order the call answers, managers enrol and machines are adopted',
    check: async (fleet) => {
      await seed(fleet)
      const steps: Readonly<Record<string, () => Promise<unknown>>> = {
        'enrol m1': () => redeem(fleet, 'm1'),
        'enrol m3': () => redeem(fleet, 'm3'),
        'adopt m2': () => bind(fleet, 'm2'),
        finish: () => finish(fleet, { cloud_ids: ['m1', 'm2', 'm3'] }),
      }
      for (const order of permutations(Object.keys(steps))) {
        await fleet.sql('delete from fleet.backends')
        await fleet.sql('delete from fleet.hosts')
        await fleet.sql('update fleet.enrolment_tokens set used = 0')
        await fleet.seedHosts(ids('h', 3), { status: 'LAUNCHING', launch_id: launch })
        await fleet.sql(`update fleet.actions set status = 'RUNNING'`)
        const told = order.join(', ')
        for (const step of order)
          expect(await refusalOf(steps[step]!()), `${step} of ${told}`).toBeUndefined()
        const rows = await hostsOf(fleet)
        expect(rows.map((row) => row['cloud_id'] as string).sort(), told).toEqual(['m1', 'm2', 'm3'])
        expect(tally(rows.map((row): unknown => row['status'])), told).toEqual({ PRE_CONNECTION: 3 })
        const enrolled = rows.filter((row) => row['enrolled'] === true).map((row): unknown => row['cloud_id'])
        expect(enrolled.sort(), told).toEqual(['m1', 'm3'])
        expect(await fleet.sql('select status from fleet.actions')).toEqual([{ status: 'SUCCEEDED' }])
      }
    },
    without: [
      piece('bind_launch', 'and h.cloud_id = machine', 'and false'),
      piece('end_launch', 'perform fleet.bind_launch', 'perform jsonb_build_array'),
    ],
  },
  {
    holds: '50 machines that enrol at once in a launch of 3 are exactly 3',
    check: async (fleet) => {
      await seed(fleet)
      const answers = await Promise.all(ids('m', 50).map((machine) => redeem(fleet, machine).catch(() => [])))
      const bound = answers.flat()
      expect(bound).toHaveLength(3)
      const rows = await hostsOf(fleet)
      expect(rows.map((row): unknown => row['cloud_id']).sort()).toEqual(
        bound.map((row): unknown => row['name']).sort(),
      )
      expect(tally(rows.map((row): unknown => row['enrolled']))).toEqual({ true: 3 })
    },
    without: [
      both(
        piece('redeem_launch_token', 'order by h.id for update;', 'order by h.id;'),
        piece('bind_launch', 'order by h.id for update;', 'order by h.id;'),
      ),
    ],
  },
  {
    holds: 'the same machine with the same key gets its row again, with another key none',
    check: async (fleet) => {
      await seed(fleet)
      const [first] = await redeem(fleet, 'm1')
      const [again] = await redeem(fleet, 'm1')
      expect(again).toMatchObject({ id: first!['id'] as string, revision: first!['revision'] as number })
      expect(await redeem(fleet, 'm1', { key: 'a stolen token, another key' })).toEqual([])
      expect(await fleet.sql('select enrolled_spki_hash as key from fleet.backends')).toEqual([
        { key: sha256('key of m1') },
      ])
      expect(await redeem(fleet, 'm2', { key: 'key of m1' })).toEqual([])
    },
    without: [
      piece('redeem_launch_token', 'backend.enrolled_spki_hash = redeem_launch_token.spki_hash', 'true'),
      index('backends_enrolled_key'),
    ],
  },
  {
    holds: 'a partial launch ends the rows left over, and holds back the next',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h003'`)
      const result = { cloud_ids: ['m1'], code: 'insufficient-capacity', message: 'one only' }
      expect(await finish(fleet, result)).toMatchObject([
        { status: 'SUCCEEDED', error_code: 'insufficient-capacity' },
      ])
      expect((await hostsOf(fleet)).map((row): unknown => row['status'])).toEqual([
        'PRE_CONNECTION',
        'TERMINATED',
        'TERMINATED',
      ])
      expect(await fleet.sql('select launch_failures, launch_error_code from fleet.regions')).toEqual([
        { launch_failures: 1, launch_error_code: 'insufficient-capacity' },
      ])
      // Once ended it stays so: a doubled answer binds and ends nothing.
      expect(await finish(fleet, { cloud_ids: ['m1', 'm2'] })).toEqual([])
      expect(await fleet.sql('select launch_failures from fleet.regions')).toEqual([{ launch_failures: 1 }])
    },
    without: [
      piece('end_launch', `h.status in ('LAUNCHING', 'TERMINATING')`, 'false'),
      piece('finish_launch', `or action.status not in ('QUEUED', 'RUNNING')`),
      piece('finish_launch', `if result ->> 'code' is not null then`, 'if false then'),
    ],
  },
  {
    holds: 'a launch that failed ends all its rows; a machine that comes late gets none',
    check: async (fleet) => {
      await seed(fleet)
      expect(await finish(fleet, { cloud_ids: [], code: 'quota-exceeded', message: 'full' })).toMatchObject([
        { status: 'FAILED' },
      ])
      expect(tally((await hostsOf(fleet)).map((row): unknown => row['status']))).toEqual({ TERMINATED: 3 })
      expect(await redeem(fleet, 'm1')).toEqual([])
      expect(await bind(fleet, 'm1')).toHaveLength(3)
      expect(tally((await hostsOf(fleet)).map((row): unknown => row['cloud_id']))).toEqual({ null: 3 })
    },
    without: [piece('bind_launch', `u.cloud_id is null and u.status <> 'TERMINATED'`, 'u.cloud_id is null')],
  },
  {
    holds: 'a host that is drained or ended while it launches keeps its state when its machine comes',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h001'`)
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING' where id = 'h002'`)
      await bind(fleet, 'm1', 'm2', 'm3', 'm4')
      expect(await hostsOf(fleet)).toMatchObject([
        { id: 'h001', status: 'DRAINING', cloud_id: 'm1' },
        { id: 'h002', status: 'TERMINATING', cloud_id: 'm2' },
        { id: 'h003', status: 'PRE_CONNECTION', cloud_id: 'm3' },
      ])
    },
    without: [
      both(
        piece(
          'bind_launch',
          `when h.status = 'LAUNCHING' then 'PRE_CONNECTION' else h.status end`,
          `when true then 'PRE_CONNECTION' end`,
        ),
        trigger('hosts', 'guard'),
      ),
    ],
  },
  {
    holds:
      'a daemon without the lease binds, registers and ends nothing, and is told so aloud where no answer is a no',
    check: async (fleet) => {
      await seed(fleet)
      expect(await refusalOf(redeem(fleet, 'm1', { fence: 2 }))).toBe(refused)
      expect(await refusalOf(call(fleet.pool, 'register_host', ['h001', 'a', 2, 2]))).toBe(refused)
      expect(await refusalOf(call(fleet.pool, 'report_agents', ['h001', [], true, 2]))).toBe(refused)
      expect(await finish(fleet, { cloud_ids: ['m1'] }, 2)).toEqual([])
      expect(await call(fleet.pool, 'end_host', ['h001', 2, 'x'])).toEqual([])
      expect(await call(fleet.pool, 'prune', [0, 2])).toEqual([])
      const rows = await hostsOf(fleet)
      expect(tally(rows.map((row) => `${String(row['status'])} ${String(row['cloud_id'])}`))).toEqual({
        'LAUNCHING null': 3,
      })
    },
    without: [piece('lease_is_held', 'return found', 'return true')],
  },
  {
    holds: 'a host that connects becomes ACTIVE, or what it was, and ends the run of failed launches',
    check: async (fleet) => {
      await seed(fleet)
      const register = async (id: string) =>
        (await call(fleet.pool, 'register_host', [id, '10.0.0.1', 3, 1]))[0]
      await redeem(fleet, 'm1')
      await fleet.sql(`select fleet.block_launches('local/demo', 'transient', 'x')`)
      expect(await register('h001')).toMatchObject({ status: 'ACTIVE', address: '10.0.0.1', capacity: 3 })
      expect(await fleet.sql('select launch_failures, launch_blocked_until from fleet.regions')).toEqual([
        { launch_failures: 0, launch_blocked_until: null },
      ])
      await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h001'`)
      await fleet.sql(`update fleet.hosts set status = 'UNRESPONSIVE' where id = 'h001'`)
      expect(await register('h001')).toMatchObject({ status: 'DRAINING', status_before: null })
      await call(fleet.pool, 'end_host', ['h001', 1, 'gone'])
      expect(await register('h001')).toBeUndefined()
    },
    without: [
      piece(
        'register_host',
        `case when h.status = 'UNRESPONSIVE' then h.status_before else h.status end`,
        'h.status',
      ),
      piece('register_host', 'set launch_failures = 0,', 'set launch_failures = launch_failures,'),
    ],
  },
  {
    holds: 'the end of a host ends its row, its agents and its terminations, once',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedHosts(['live'])
      await fleet.seedAgents('live', 2)
      await fleet.sql(`insert into fleet.actions (id, decision_id, region_id, kind, target) values
        ('t1', 't1', 'local/demo', 'terminate', 'live'), ('t2', 't2', 'local/demo', 'terminate', 'h001')`)
      expect(await call(fleet.pool, 'end_host', ['live', 1, 'gone'])).toMatchObject([
        { status: 'TERMINATED', reason: 'gone' },
      ])
      await call(fleet.pool, 'end_host', ['live', 1, 'gone again'])
      expect(await fleet.sql(`select status, reason from fleet.hosts where id = 'live'`)).toEqual([
        { status: 'TERMINATED', reason: 'gone' },
      ])
      expect(await fleet.sql('select 1 from fleet.agents')).toEqual([])
      expect(
        await fleet.sql(`select id, status from fleet.actions where kind = 'terminate' order by id`),
      ).toEqual([
        { id: 't1', status: 'SUCCEEDED' },
        { id: 't2', status: 'RUNNING' },
      ])
    },
    without: [piece('end_host', 'a.target = end_host.host_id and'), trigger('hosts', 'fence')],
  },
])
