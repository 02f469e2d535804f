/**
 * One order for all locks (migration lock_order), shown for each function and each row that it may meet: somebody holds the
 * row, and whoever waits for it holds none that comes after it. So no two of them can wait for each other.
 */
import type pg from 'pg'
import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { aPlan, blockedOrDone, both, call, piece, proveDefences } from './defence.ts'
import { byHand, issue, open, redeem, region, seedFleet, serialOf, sha256 } from './trust-seed.ts'

/** Tables in the order of their locks, and the key of each. */
const order = [
  ['regions', 'id'],
  ['images', 'id'],
  ['rollouts', 'id'],
  ['versions', 'channel'],
  ['hosts', 'id'],
  ['agents', 'id'],
  ['backends', 'id'],
  ['certificates', 'serial'],
  ['enrolment_tokens', 'id'],
] as const

interface Place {
  readonly table: string
  readonly key: string
  readonly id: string
}

type Act = (on: pg.Client) => Promise<unknown>

/** What each act is about: the ids that chance gave. */
interface Seeded {
  /** By hand: with a host, and with none yet. */
  readonly served: string
  readonly waiting: string
  readonly host: string
}

/** Rows lie in another order than their ids', and the agents of two hosts lie between each other. */
async function seed(fleet: FleetDatabase): Promise<Seeded> {
  await seedFleet(fleet, { launch_failures: 1 })
  await fleet.seedHosts(['h2', 'h1'], { status: 'LAUNCHING', launch_id: `${region}:0.0`, address: null })
  await call(fleet.pool, 'store_launch_token', [`${region}:0.0`, 't1', sha256('t1'), 2, 900, 1])
  await fleet.sql(
    `insert into fleet.actions (id, decision_id, region_id, kind) values ('${region}:0.0', 'x', '${region}', 'launch')`,
  )
  await redeem(fleet, 'm2')
  await redeem(fleet, 'm1')
  const [served, waiting] = [await byHand(fleet, region), await byHand(fleet, region)]
  for (const [id, token] of [
    [served, 't3'],
    [waiting, 't2'],
  ] as const) {
    await call(fleet.pool, 'create_token', [id, token, sha256(token), 900, 'anna'])
  }
  await redeem(fleet, '', { token: 't3' })
  for (const id of [waiting, 'h2', served, 'h1']) await issue(fleet, id, `${id} c1`)
  const host = (await open(fleet, `${served} c1`))[0]!['host_id'] as string
  for (const id of ['h2', 'h1']) await open(fleet, `${id} c1`)
  for (const id of ['h2', served, 'h1']) await issue(fleet, id, `${id} c2`, { renews: `${id} c1` })
  for (const [number, hostId] of ['h2', 'h1', host, 'h2', 'h1', host].entries()) {
    const row = [`a${9 - number}`, hostId]
    await fleet.sql(`insert into fleet.agents (id, host_id, region_id) values ($1, $2, '${region}')`, row)
  }
  await seedGroup(fleet)
  await fleet.sql(`update fleet.regions set launch_failures = 1`)
  return { served, waiting, host }
}

const elsewhere = 'local/elsewhere'
const starts = [region, elsewhere].map((id) => ({ region_id: id, image_id: 'ami-2', version: 'v2' }))

/** Two bound roll-outs that may be switched, as long as their channels have v2. */
async function seedGroup(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion(elsewhere, { channel: 'edge' })
  await fleet.sql(`insert into fleet.versions (channel, version) values ('edge', 'v2'), ('default', 'v2')`)
  await call(fleet.pool, 'start_rollouts', [starts, 'g', 'anna'])
  await fleet.sql(`update fleet.rollouts set state = 'READY'`)
  await fleet.sql(`update fleet.rollouts set is_cleared = true, cleared_version = 'v2'`)
}

const rolloutOf = async (on: pg.Client): Promise<string> =>
  (await on.query<{ id: string }>(`select id from fleet.rollouts where region_id = '${region}'`)).rows[0]!.id

async function allPlaces(fleet: FleetDatabase): Promise<readonly Place[]> {
  const places: Place[] = []
  for (const [table, key] of order) {
    const rows = await fleet.sql(`select ${key} as id from fleet.${table} order by ${key} collate "C"`)
    places.push(...rows.map((row) => ({ table, key, id: row['id'] as string })))
  }
  return places
}

/** Of these, one that somebody has locked, in whatever mode. */
async function lockedOf(fleet: FleetDatabase, places: readonly Place[]): Promise<Place | undefined> {
  const parts = order.map(
    ([table, key]) => `${table} as (select '${table}' as table, ${key} as id from fleet.${table}
      where ${key} = any ($1) for update skip locked)`,
  )
  const all = order.map(([table]) => `select * from ${table}`).join(' union all ')
  const free = await fleet.sql(`with ${parts.join(', ')} ${all}`, [places.map(({ id }) => id)])
  return places.find(({ table, id }) => !free.some((row) => row['table'] === table && row['id'] === id))
}

/** Where the act waits for a row although it has locked one that comes after it. */
async function disorder(fleet: FleetDatabase, act: Act): Promise<string | undefined> {
  const [holder, actor] = [await fleet.connect(), await fleet.connect()]
  const places = await allPlaces(fleet)
  let waits = 0
  for (const [index, { table, key, id }] of places.entries()) {
    // As whoever deletes it; regions and images are deleted by hand only, and a foreign key's look at them waits for nothing else.
    const mode = table === 'regions' || table === 'images' ? 'no key update' : 'update'
    await holder.query(`begin; select 1 from fleet.${table} where ${key} = '${id}' for ${mode}`)
    await actor.query('begin')
    const work = act(actor)
    const isWaiting = (await blockedOrDone(fleet, actor, work)) === 'blocked'
    const locked = isWaiting ? await lockedOf(fleet, places.slice(index + 1)) : undefined
    await holder.query('rollback')
    await work
    await actor.query('rollback')
    if (locked !== undefined) return `it waits for ${table} ${id} and holds ${locked.table} ${locked.id}`
    if (isWaiting) waits += 1
  }
  // Who never waits has locked nothing, and shows nothing.
  expect(waits).toBeGreaterThan(0)
  return undefined
}

interface Case {
  readonly act: (seeded: Seeded) => Act
  readonly without: readonly ReturnType<typeof piece>[]
  /** What is so besides. */
  readonly given?: (fleet: FleetDatabase, seeded: Seeded) => Promise<unknown>
}

const drop = (name: string, text: string) => piece(name, text)
const reversed = (name: string, text: string) =>
  piece(name, text, text.replace(/order by (\w+\.\w+)/, 'order by $1 desc'))

const turn = (plan: Readonly<Record<string, unknown>>) => async (on: pg.Client) => {
  const { rows } = await on.query<{ turn: number }>(`select turn from fleet.regions where id = '${region}'`)
  return call(on, 'commit_turn', [region, rows[0]!.turn, 1, aPlan(plan)])
}
const update = (id: string, from: string, to: string, idle = false) => ({
  ...{ id, place: 0, from: [from], to, reason: 'so it is', idle },
})
const beats = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, '2040-01-01']))
const status = (fleet: FleetDatabase, text: string) => fleet.sql(`update fleet.hosts set status = ${text}`)

const cases: Readonly<Record<string, Case>> = {
  'a turn that drains hosts and ends agents in an order of its own': {
    act: ({ host }) =>
      turn({
        host_updates: [host, 'h2', 'h1'].map((id) => update(id, 'ACTIVE', 'DRAINING', true)),
        agent_updates: ['a9', 'a4', 'a5'].map((id) => ({ id, place: 1, from: ['WAITING'], to: 'DYING' })),
      }),
    without: [
      reversed('lock_turn', 'order by h.id for update'),
      reversed('lock_turn', 'order by a.id for update'),
    ],
  },
  'a turn that ends hosts': {
    given: (fleet) => status(fleet, `'TERMINATING'`),
    act: ({ host }) =>
      turn({ host_updates: [host, 'h2', 'h1'].map((id) => update(id, 'TERMINATING', 'TERMINATED')) }),
    without: [
      reversed('lock_turn', 'order by b.id for update'),
      reversed('lock_turn', 'order by c.serial for no key update of c'),
    ],
  },
  'a turn that steps a roll-out and opens another': {
    act: () => async (on) => {
      const step = { id: await rolloutOf(on), place: 0, from: 'READY', to: 'ROLLING_BACK' }
      return turn({ rollouts: [step], opened: [{ id: 'copy', place: 1, copies: step.id }] })(on)
    },
    without: [
      reversed('lock_turn', 'order by i.id for no key update'),
      reversed('lock_turn', 'order by r.id for no key update'),
    ],
  },
  'a group that is switched': {
    act: () => (on) => call(on, 'switch_rollouts', ['g', 1]),
    without: ['g.id', 'i.id', 'r.id']
      .map((id) => reversed('switch_rollouts', `order by ${id} for no key update`))
      .concat(reversed('switch_rollouts', 'order by v.channel for share')),
  },
  'roll-outs that are started': {
    act: () => (on) =>
      call(on, 'start_rollouts', [starts.map((start) => ({ ...start, version: 'v3' })), 'h', 'anna']),
    without: [
      reversed('start_rollouts', 'order by r.id for no key update'),
      reversed('start_rollouts', 'order by i.id for no key update'),
      reversed('lock_leading', 'order by r.id for no key update'),
    ],
  },
  'a roll-out that is steered': {
    act: () => async (on) => call(on, 'steer_rollout', [await rolloutOf(on), 'switch', 'anna']),
    without: [reversed('steer_rollout', 'order by r.id for no key update')],
  },
  'the end of a host': {
    act: () => (on) => call(on, 'end_host', ['h1', 1, 'gone']),
    given: (fleet) =>
      fleet.sql(
        `update fleet.agents set status = 'ALLOCATED', user_id = 'u', user_slot = 1, session_id = 's' where id = 'a5'`,
      ),
    without: [
      both(
        drop(
          'end_host',
          'perform 1 from fleet.agents a where a.host_id = end_host.host_id order by a.id for update;',
        ),
        drop(
          'end_backend',
          'perform 1 from fleet.agents a where a.host_id = old.id order by a.id for update;',
        ),
      ),
    ],
  },
  'a host that is drained by plain SQL': {
    act: () => (on) => on.query(`update fleet.hosts set status = 'DRAINING' where id = 'h1'`),
    without: [reversed('fence_host', 'order by a.id for no key update')],
  },
  'a host that ends by plain SQL': {
    given: (fleet) => status(fleet, `'TERMINATING'`),
    act: () => (on) => on.query(`update fleet.hosts set status = 'TERMINATED' where id = 'h1'`),
    without: [
      drop('end_backend', 'perform 1 from fleet.agents a where a.host_id = old.id order by a.id for update;'),
    ],
  },
  'a backend that is terminated': {
    act: () => (on) => call(on, 'terminate_backend', ['h1', 'user', 'kill', 'anna']),
    without: [drop('terminate_backend', ', true')].map(() =>
      piece('terminate_backend', '(terminate_backend.id, true)', '(terminate_backend.id, false)'),
    ),
  },
  'a backend that is drained': {
    act: () => (on) => call(on, 'terminate_backend', ['h1', 'user', 'drain', 'anna']),
    without: [piece('lock_backend', 'if is_ending then', 'if false then')],
  },
  'a backend that is enabled again': {
    given: (fleet) => call(fleet.pool, 'terminate_backend', ['h1', 'user', 'drain', 'anna']),
    act: () => (on) => call(on, 'enable_backend', ['h1', 'anna']),
    without: [],
  },
  'a backend that is changed': {
    act: () => (on) => call(on, 'update_backend', ['h1', { address: 'x' }, 'anna']),
    without: [drop('lock_backend', 'perform 1 from fleet.hosts h where h.id = seen for no key update;')],
  },
  'a backend that is deleted': {
    act:
      ({ served }) =>
      (on) =>
        call(on, 'delete_backend', [served, true, 'anna']),
    without: [
      piece('lock_backend', 'if is_ending then', 'if false then'),
      reversed('forget_backend', 'order by c.serial for no key update'),
    ],
  },
  'a certificate that is revoked with those after it': {
    act: () => (on) => call(on, 'revoke_certificate', [serialOf('h1 c1'), 'user', 'anna']),
    without: [
      piece('revoke_certificate', '(certificate.backend_id, true)', '(certificate.backend_id, false)'),
      reversed('revoke_certificate', 'order by c.serial for no key update'),
    ],
  },
  'a certificate that is stored': {
    act: () => (on) => {
      const times = { not_before: '2020-01-01', not_after: '2040-01-01' }
      const wish = { serial: serialOf('new'), spki_hash: sha256('new'), issuer: 'i', pem: 'p', ...times }
      return call(on, 'store_certificate', ['h1', wish, null, 'anna'])
    },
    without: [],
  },
  'a token that is made': {
    act:
      ({ served }) =>
      (on) =>
        call(on, 'create_token', [served, 'new', sha256('new'), 900, 'anna']),
    without: [],
  },
  "a launch's token with another key": {
    act: () => (on) => call(on, 'redeem_token', ['t1', sha256('t1'), sha256('stolen'), 'm1', 'a', 1]),
    without: [
      piece('redeem_launch_token', 'where b.id = host.id;', 'where b.id = host.id for no key update;'),
    ],
  },
  "a launch's token with one machine too many": {
    act: () => (on) => call(on, 'redeem_token', ['t1', sha256('t1'), sha256('more'), 'm3', 'a', 1]),
    without: [reversed('redeem_launch_token', 'order by a.id for no key update of a')],
  },
  "a launch's token": {
    given: (fleet) => fleet.sql(`update fleet.enrolment_tokens set uses = 3 where id = 't1'`),
    act: () => (on) => call(on, 'redeem_token', ['t1', sha256('t1'), sha256('new'), 'm3', 'a', 1]),
    without: [],
  },
  'a token by hand with another key': {
    act: () => (on) => call(on, 'redeem_token', ['t3', sha256('t3'), sha256('stolen'), '', 'a', 1]),
    without: [piece('redeem_backend_token', '(token.backend_id, true)', '(token.backend_id, false)')],
  },
  'a token by hand': {
    act: () => (on) => call(on, 'redeem_token', ['t2', sha256('t2'), sha256('new'), '', 'a', 1]),
    without: [],
  },
  'a stream that opens with a new certificate': {
    act: () => (on) => call(on, 'connect_backend', [serialOf('h1 c2'), 'a', 2, 1]),
    without: [
      drop('connect_backend', 'for no key update of r'),
      reversed('connect_backend', 'order by c.serial for no key update'),
    ],
  },
  'a stream for which a host is given': {
    act:
      ({ waiting }) =>
      (on) =>
        call(on, 'connect_backend', [serialOf(`${waiting} c1`), 'a', 2, 1]),
    without: [drop('connect_backend', 'for no key update of r')],
  },
  'streams that ended': {
    act: () => (on) => call(on, 'disconnect_backends', [null, 1]),
    without: [reversed('disconnect_backends', 'order by b.id for no key update')],
  },
  'when backends were heard': {
    act:
      ({ served, waiting }) =>
      (on) =>
        call(on, 'flush_backends', [beats([served, 'h2', waiting, 'h1']), 1]),
    without: [reversed('flush_backends', 'order by b.id for no key update')],
  },
  'when hosts were heard': {
    act:
      ({ host }) =>
      (on) =>
        call(on, 'flush_heartbeats', [beats(['h2', host, 'h1']), 1]),
    without: [reversed('flush_heartbeats', 'order by h.id for no key update')],
  },
  'a host that is registered': {
    act: () => (on) => call(on, 'register_host', ['h1', 'a', 2, 1]),
    without: [drop('register_host', 'for no key update of r')],
  },
  'a report of all agents': {
    act: () => (on) => call(on, 'report_agents', ['h1', [{ id: 'z', status: 'WAITING' }], true, 1]),
    without: [reversed('report_agents', 'order by a.id for update of a')],
  },
  'a report of some agents': {
    act: () => (on) => {
      const reports = ['a8', 'a5'].map((id) => ({ id, status: 'DYING', gone: id === 'a8' }))
      return call(on, 'report_agents', ['h1', reports, false, 1])
    },
    without: [reversed('report_agents', 'order by a.id for update of a')],
  },
  'the end of a launch': {
    act: () => (on) =>
      call(on, 'finish_launch', [`${region}:0.0`, 1, { cloud_ids: ['m2', 'm1'], code: 'x', message: 'x' }]),
    without: [reversed('bind_launch', 'order by h.id for update')],
  },
  'a call that is made': {
    given: (fleet) => fleet.sql(`update fleet.hosts set cloud_id = null`),
    act: () => (on) => {
      const offering = { instanceType: 'x', zone: '', lifecycle: 'spot' }
      const token = { id: 't1', secret_hash: sha256('t1'), uses: 2, lifetime_s: 900 }
      return call(on, 'begin_call', [`${region}:0.0`, 1, offering, {}, token])
    },
    without: [],
  },
  'a call that is refused': {
    given: (fleet) => fleet.sql(`update fleet.hosts set cloud_id = null`),
    act: () => (on) => call(on, 'refuse_call', [`${region}:0.0`, 1, 'capacity', 'none', 60, null]),
    without: [],
  },
  'a machine that its provider takes': {
    act: () => (on) => call(on, 'report_interruption', ['h1', 'interruption', '2040-01-01', 'stop', 1]),
    without: [reversed('fence_host', 'order by a.id for no key update')],
  },
  'a pruning': {
    given: async (fleet) => {
      for (const id of ['h1', 'h2']) await call(fleet.pool, 'end_host', [id, 1, 'gone'])
      await fleet.sql(`update fleet.enrolment_tokens set expires_at = now() - interval '2 hours'`)
    },
    act: () => (on) => call(on, 'prune', [0, 1]),
    without: [reversed('prune', 'order by b.id for update')],
  },
  'a region that is deleted': {
    given: async (fleet) => {
      await fleet.sql('update fleet.backends set host_id = null')
      await fleet.sql('delete from fleet.hosts')
      await fleet.sql('delete from fleet.rollouts')
      await fleet.sql('delete from fleet.images')
    },
    act: () => (on) => on.query(`delete from fleet.regions where id = '${region}'`),
    without: [reversed('lock_region', 'order by b.id for no key update')],
  },
}

proveDefences(
  'whoever waits for a row holds none that comes after it',
  Object.entries(cases).map(([holds, { act, given, without }]) => ({
    holds,
    check: async (fleet: FleetDatabase) => {
      const seeded = await seed(fleet)
      await given?.(fleet, seeded)
      expect(await disorder(fleet, act(seeded))).toBeUndefined()
    },
    without,
  })),
)

proveDefences('what comes while somebody waits for his locks', [
  {
    holds: 'is not written by him: a stream that opens while all are noted as ended stays',
    check: async (fleet) => {
      await seed(fleet)
      await call(fleet.pool, 'disconnect_backends', [['h1'], 1])
      const [holder, ender, watcher] = [await fleet.connect(), await fleet.connect(), await fleet.connect()]
      await holder.query(`begin; select 1 from fleet.backends where id = 'h2' for update`)
      const ended = call(ender, 'disconnect_backends', [null, 1])
      expect(await blockedOrDone(fleet, ender, ended)).toBe('blocked')
      await open(fleet, 'h1 c2')
      // It comes before the one that is held: who wanted it now would want it out of order.
      await watcher.query(`begin; select 1 from fleet.backends where id = 'h1' for update`)
      await holder.query('rollback')
      expect(await blockedOrDone(fleet, ender, ended)).toBe('done')
      await watcher.query('rollback')
    },
    without: [piece('disconnect_backends', 'where b.id = any (locked)', 'where b.connected_at is not null')],
  },
])
