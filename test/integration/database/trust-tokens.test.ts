/** Tokens: whoever redeems, however often and at once. */
import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import {
  both,
  call,
  constraint,
  ids,
  piece,
  proveDefences,
  refusalOf,
  refused,
  tally,
  trigger,
} from './defence.ts'
import {
  acts,
  backend,
  byHand,
  hosts,
  issue,
  launch,
  minutesPass,
  open,
  redeem,
  seedConnected,
  seedFleet,
  seedLaunch,
  sha256,
  warm,
} from './trust-seed.ts'

const backends = (fleet: FleetDatabase) =>
  fleet.sql('select id, host_id, enrolled_spki_hash as key, status from fleet.backends order by id')

async function aToken(fleet: FleetDatabase, id: string, token: string, seconds = 900): Promise<void> {
  expect(await call(fleet.pool, 'create_token', [id, token, sha256(token), seconds, 'anna'])).toHaveLength(1)
}

/** Every way of redeeming that is refused in the same way. */
async function refusesAlike(fleet: FleetDatabase, machine: string, good: string): Promise<void> {
  const before = await acts(fleet)
  expect(await redeem(fleet, machine, { token: 'unknown' })).toEqual([])
  expect(await redeem(fleet, machine, { token: good, secret: 'another' })).toEqual([])
  expect(await refusalOf(redeem(fleet, machine, { token: good, fence: 2 }))).toBe(refused)
  await fleet.sql(`update fleet.enrolment_tokens set expires_at = now() - interval '1 s' where id = $1`, [
    good,
  ])
  expect(await redeem(fleet, machine, { token: good })).toEqual([])
  await fleet.sql(`update fleet.enrolment_tokens set expires_at = now() + interval '1 h' where id = $1`, [
    good,
  ])
  // Who holds no token puts nothing on record.
  expect(await acts(fleet)).toEqual(before)
}

proveDefences('a token lets in as many as it was made for', [
  ...[1, 3].map((count) => ({
    holds: `50 machines that redeem a launch's token for ${count} at once are exactly ${count}`,
    check: async (fleet: FleetDatabase) => {
      await seedLaunch(fleet, count)
      await warm(fleet, 50)
      const answers = await Promise.all(ids('m', 50).map((machine) => redeem(fleet, machine).catch(() => [])))
      const enrolled = answers.flat()
      expect(enrolled).toHaveLength(count)
      expect(new Set(enrolled.map((row): unknown => row['id'])).size).toBe(count)
      expect((await backends(fleet)).map((row): unknown => row['key']).sort()).toEqual(
        enrolled.map((row): unknown => row['enrolled_spki_hash']).sort(),
      )
      const bound = (await hosts(fleet)).map((row): unknown => row['cloud_id'])
      expect(new Set(bound).size).toBe(count)
      expect(enrolled.map((row): unknown => row['name']).sort()).toEqual(bound.sort())
      expect(await fleet.sql('select used from fleet.enrolment_tokens')).toEqual([{ used: count }])
    },
    without: [
      both(
        piece('redeem_launch_token', 'order by h.id for update;', 'order by h.id;'),
        piece('bind_launch', 'order by h.id for update;', 'order by h.id;'),
      ),
    ],
    connections: 50,
  })),
  {
    holds: 'a launch with rows to spare stops at the uses of its token',
    check: async (fleet) => {
      await seedLaunch(fleet, 3, 1)
      const answers = await Promise.all(ids('m', 20).map((machine) => redeem(fleet, machine).catch(() => [])))
      expect(answers.flat()).toHaveLength(1)
      expect((await hosts(fleet)).filter((row) => row['cloud_id'] !== null)).toHaveLength(1)
    },
    without: [
      both(
        piece('redeem_launch_token', 'if token.used >= token.uses then', 'if false then'),
        constraint('enrolment_tokens', 'enrolment_tokens_uses'),
      ),
    ],
  },
  {
    holds: '50 redeems with 50 keys of a token for one backend are exactly one',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet)
      await aToken(fleet, id, 't2')
      await warm(fleet, 50)
      const answers = await Promise.all(
        ids('k', 50).map((key) => redeem(fleet, '', { token: 't2', key }).catch(() => [])),
      )
      expect(answers.flat()).toHaveLength(1)
      expect((await backend(fleet, id))['enrolled_spki_hash']).toBe(answers.flat()[0]!['enrolled_spki_hash'])
      expect(tally(await acts(fleet))).toEqual({
        ...{ 'backend-created': 1, 'token-created': 1, enrolled: 1, 'token-reused': 1 },
      })
    },
    without: [
      both(
        piece('redeem_backend_token', 'if token.used >= token.uses then', 'if false then'),
        piece('redeem_backend_token', 'used = t.used + 1', 'used = t.used'),
      ),
      piece('alarm_token', `and coalesce(t.alarmed_at < now() - interval '1 minute', true)`),
    ],
    connections: 50,
  },
  {
    holds: 'an answer that was lost is given again: for 5 minutes, and while the key has no certificate',
    check: async (fleet) => {
      await seedLaunch(fleet, 3)
      const id = await byHand(fleet)
      await aToken(fleet, id, 't2')
      const again = [...Array.from({ length: 9 }, () => redeem(fleet, 'm1'))]
      expect(new Set((await Promise.all(again)).map((rows): unknown => rows[0]?.['id'])).size).toBe(1)
      const byToken = await redeem(fleet, '', { token: 't2', key: 'k' })
      expect(await redeem(fleet, '', { token: 't2', key: 'k' })).toEqual(byToken)
      expect(await fleet.sql('select id, used from fleet.enrolment_tokens order by id')).toEqual([
        { id: 't1', used: 1 },
        { id: 't2', used: 1 },
      ])
      expect(tally(await acts(fleet))).toMatchObject({ enrolled: 2 })
      // The daemon was away for longer than 5 minutes before it stored a certificate.
      await minutesPass(fleet, 6)
      expect(await redeem(fleet, 'm1')).toHaveLength(1)
      expect(await redeem(fleet, '', { token: 't2', key: 'k' })).toHaveLength(1)
      await issue(fleet, 'h1', 'c1', { key: 'key of m1' })
      await issue(fleet, id, 'c2', { key: 'k' })
      expect(await redeem(fleet, 'm1')).toEqual([])
      expect(await redeem(fleet, '', { token: 't2', key: 'k' })).toEqual([])
      // Late is late, not stolen.
      expect(tally(await acts(fleet))['token-reused']).toBeUndefined()
      expect((await hosts(fleet))[0]).toMatchObject({ status: 'PRE_CONNECTION' })
    },
    without: [
      piece('redeem_launch_token', 'and fleet.may_ask_again(backend)'),
      piece('redeem_backend_token', 'if fleet.may_ask_again(backend) then', 'if true then'),
      piece('may_ask_again', 'or not exists', 'and not exists'),
      piece('may_ask_again', 'not exists', 'exists'),
      piece('redeem_backend_token', 'backend.enrolled_token_id = token.id and', 'false and'),
    ],
  },
  {
    holds: 'a machine that is bound and comes with another key is refused, on record, and its host drained',
    check: async (fleet) => {
      await seedConnected(fleet)
      const before = await backend(fleet, 'h1')
      const thieves = ids('stolen ', 20).map((key) => redeem(fleet, 'm1', { key }))
      expect((await Promise.all(thieves)).flat()).toEqual([])
      expect(await hosts(fleet)).toMatchObject([{ status: 'DRAINING', address: '10.0.0.2' }])
      expect(await fleet.sql('select distinct status from fleet.agents')).toEqual([{ status: 'DYING' }])
      expect(await backend(fleet, 'h1')).toEqual(before)
      const records = await fleet.sql(
        `select backend_id, details from fleet.audit where act = 'token-reused'`,
      )
      expect(records).toMatchObject([{ backend_id: 'h1', details: { token_id: 't1', cloud_id: 'm1' } }])
      // A minute later it is news again.
      await minutesPass(fleet, 2)
      await redeem(fleet, 'm1', { key: 'stolen' })
      expect(tally(await acts(fleet))['token-reused']).toBe(2)
    },
    without: [
      piece('redeem_launch_token', 'backend.enrolled_spki_hash = redeem_launch_token.spki_hash', 'true'),
      piece('redeem_launch_token', `status = 'DRAINING'`, 'status = h.status'),
      piece(
        'redeem_launch_token',
        'perform fleet.alarm_token(token.id, backend.id',
        'perform jsonb_build_array(0',
      ),
      trigger('hosts', 'fence'),
    ],
  },
  {
    holds:
      "one machine too many for a launch's token is refused, on record, and drains all that enrolled with it",
    check: async (fleet) => {
      await seedLaunch(fleet, 4, 3)
      // The thief is first, with a name of his own, and gets what a machine of the launch should have.
      await redeem(fleet, 'invented', { key: 'stolen' })
      await issue(fleet, 'h1', 'c1', { key: 'stolen' })
      await open(fleet, 'c1')
      await redeem(fleet, 'm1')
      // This one has proved itself by another token since.
      await redeem(fleet, 'm4')
      await aToken(fleet, 'h3', 't2')
      expect(await redeem(fleet, 'm4', { token: 't2', key: 'k2' })).toHaveLength(1)
      const kept = await byHand(fleet, 'local/demo')
      await issue(fleet, kept, 'c2')
      const other = (await open(fleet, 'c2'))[0]!['host_id'] as string
      expect(await redeem(fleet, 'm2')).toEqual([])
      expect(await redeem(fleet, 'm3')).toEqual([])
      const statuses = Object.fromEntries(
        (await hosts(fleet)).map((row): [string, unknown] => [row['id'] as string, row['status']]),
      )
      expect(statuses).toEqual({
        ...{ h1: 'DRAINING', h2: 'DRAINING', h3: 'PRE_CONNECTION', h4: 'LAUNCHING', [other]: 'ACTIVE' },
      })
      const records = await fleet.sql(
        `select backend_id, details from fleet.audit where act = 'token-reused'`,
      )
      expect(records).toMatchObject([{ backend_id: null, details: { token_id: 't1', cloud_id: 'm2' } }])
    },
    without: [
      piece('redeem_launch_token', 'perform fleet.alarm_token(token.id, null', 'perform jsonb_build_array(0'),
      piece(
        'redeem_launch_token',
        `where h.launch_id = token.launch_id and h.status in`,
        'where false and h.status in',
      ),
      piece('redeem_launch_token', 'and b.enrolled_token_id = token.id'),
      piece('redeem_launch_token', 'b.host_id = h.id and'),
    ],
  },
  {
    holds: 'a token by hand that is used with another key drains the host that its backend has',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet, 'local/demo')
      await aToken(fleet, id, 't2')
      await redeem(fleet, '', { token: 't2', key: 'k' })
      await issue(fleet, id, 'c1', { key: 'k' })
      await open(fleet, 'c1')
      expect(await redeem(fleet, '', { token: 't2', key: 'stolen' })).toEqual([])
      expect(await hosts(fleet)).toMatchObject([{ status: 'DRAINING' }])
      expect(tally(await acts(fleet))).toMatchObject({ 'token-reused': 1 })
    },
    without: [
      piece('redeem_backend_token', `status = 'DRAINING'`, 'status = h.status'),
      piece('redeem_backend_token', 'perform fleet.alarm_token(', 'perform jsonb_build_array('),
    ],
  },
  {
    holds: 'unknown, of a wrong secret, expired: refused alike, and a lost lease aloud',
    check: async (fleet) => {
      await seedLaunch(fleet, 1)
      const id = await byHand(fleet)
      await aToken(fleet, id, 't2')
      await refusesAlike(fleet, 'm1', 't1')
      await refusesAlike(fleet, '', 't2')
      expect(await hosts(fleet)).toMatchObject([{ cloud_id: null }])
      expect(await redeem(fleet, '')).toEqual([])
      expect(await redeem(fleet, 'm1')).toHaveLength(1)
      expect(await redeem(fleet, '', { token: 't2' })).toHaveLength(1)
    },
    without: [
      piece('redeem_token', 'and t.expires_at > now()'),
      piece('redeem_token', 'and t.secret_hash = redeem_token.secret_hash'),
      piece('redeem_token', 'perform fleet.demand_lease(redeem_token.fence);'),
      both(
        piece('redeem_launch_token', `redeem_launch_token.cloud_id = ''`, 'false'),
        constraint('backends', 'backends_name_check'),
      ),
    ],
  },
  {
    holds: "a key is one backend's, and has one certificate",
    check: async (fleet) => {
      await seedLaunch(fleet, 3)
      const id = await byHand(fleet)
      await redeem(fleet, 'm1', { key: 'k1' })
      expect(await redeem(fleet, 'm2', { key: 'k1' })).toEqual([])
      await issue(fleet, id, 'c', { key: 'k2' })
      expect(await redeem(fleet, 'm2', { key: 'k2' })).toEqual([])
      await aToken(fleet, id, 't2')
      for (const key of ['k1', 'k2']) expect(await redeem(fleet, '', { token: 't2', key })).toEqual([])
      expect(await issue(fleet, id, 'd', { key: 'k1' })).toEqual([])
      expect(tally(await acts(fleet))).toMatchObject({ enrolled: 1, 'certificate-issued': 1 })
    },
    without: [
      piece(
        'redeem_launch_token',
        'or exists (select 1 from fleet.certificates c where c.spki_hash = redeem_launch_token.spki_hash)',
      ),
      piece(
        'redeem_backend_token',
        'if exists (select 1 from fleet.certificates c where c.spki_hash = redeem_backend_token.spki_hash)',
        'if false',
      ),
      piece(
        'store_certificate',
        'if exists (select 1 from fleet.backends b where',
        'if false and exists (select 1 from fleet.backends b where',
      ),
      async (fleet) => {
        await fleet.sql('drop index fleet.backends_enrolled_key')
        return 'index backends_enrolled_key'
      },
    ],
  },
  {
    holds: 'a machine that is to end is bound, so that it can be ended, and let in no more',
    check: async (fleet) => {
      await seedLaunch(fleet, 1)
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING'`)
      expect(await redeem(fleet, 'm1')).toEqual([])
      expect(await hosts(fleet)).toMatchObject([{ cloud_id: 'm1', status: 'TERMINATING' }])
      expect(await backends(fleet)).toEqual([])
    },
    without: [piece('redeem_launch_token', `host.status in ('TERMINATING', 'TERMINATED')`, 'false')],
  },
  {
    holds: 'who was away longer than its certificate comes back by a fresh token, on its own machine only',
    check: async (fleet) => {
      await seedConnected(fleet)
      await minutesPass(fleet, 25 * 60)
      expect(await open(fleet, 'c1')).toEqual([])
      await aToken(fleet, 'h1', 't2')
      expect(await redeem(fleet, 'another machine', { token: 't2', key: 'k2' })).toEqual([])
      expect(await redeem(fleet, 'm1', { token: 't2', key: 'k2' })).toMatchObject([{ id: 'h1' }])
      await issue(fleet, 'h1', 'c2', { key: 'k2' })
      expect(await open(fleet, 'c2')).toMatchObject([{ id: 'h1', host_id: 'h1' }])
    },
    without: [piece('redeem_backend_token', 'backend.launch_id is not null and', 'false and')],
  },
  {
    holds: 'a backend that is terminated redeems nothing and gets no token',
    check: async (fleet) => {
      await seedConnected(fleet)
      const id = await byHand(fleet)
      await aToken(fleet, id, 't2')
      for (const backendId of ['h1', id])
        await call(fleet.pool, 'terminate_backend', [backendId, 'user', 'kill', 'anna'])
      expect(await redeem(fleet, 'm1')).toEqual([])
      expect(await redeem(fleet, '', { token: 't2' })).toEqual([])
      expect(await call(fleet.pool, 'create_token', [id, 't3', sha256('t3'), 900, 'anna'])).toEqual([])
      expect(await issue(fleet, id, 'c2')).toEqual([])
    },
    without: [
      piece('redeem_launch_token', `backend.status = 'ENABLED' and`),
      piece('redeem_backend_token', `or backend.status <> 'ENABLED'`),
      piece('create_token', `and b.status = 'ENABLED'`),
      piece('store_certificate', `not (backend.status = 'ENABLED' or`, 'not (true or'),
    ],
  },
  {
    holds: "a launch's token is stored again with a later end, and with nothing else",
    check: async (fleet) => {
      await seedLaunch(fleet, 1)
      const store = (secret: string, seconds: number, of = launch, fence = 1) =>
        call(fleet.pool, 'store_launch_token', [of, 't1', sha256(secret), 1, seconds, fence])
      const [first] = await store('t1', 1800)
      const [again] = await store('t1', 60)
      expect(again!['expires_at']).toEqual(first!['expires_at'])
      for (const refusal of [store('other', 900), store('t1', 900, 'L2'), store('t1', 900, launch, 2)]) {
        expect(await refusal).toEqual([])
      }
      expect(await redeem(fleet, 'm1')).toHaveLength(1)
      expect(tally(await acts(fleet))).toEqual({ 'token-created': 1, enrolled: 1 })
    },
    without: [
      piece('store_launch_token', 'greatest(t.expires_at, excluded.expires_at)', 'excluded.expires_at'),
      piece('store_launch_token', 'and t.secret_hash = excluded.secret_hash'),
      piece('store_launch_token', 't.launch_id = excluded.launch_id and'),
      piece('store_launch_token', 'not fleet.lease_is_held(store_launch_token.fence)', 'false'),
    ],
  },
])
