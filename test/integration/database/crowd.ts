/**
 * Everybody who writes the fleet, each in a loop on a connection of its own: whatever meets, meets. What ends is launched
 * or made anew, so that there is always something to meet at.
 */
import pg from 'pg'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { aPlan, call, claim } from './defence.ts'
import { region, serialOf, sha256 } from './trust-seed.ts'

type Task = (on: pg.Client) => Promise<unknown>

const fence = 1
/** So many hosts are kept alive, half of them by hand. */
const hostsKept = 10

/** Whoever writes a row holds it for a moment, so that others meet him on any machine, busy or idle. */
const dawdle = `
  create function fleet.dawdle() returns trigger language plpgsql as $$
  begin
    perform pg_sleep(random() * 0.002);
    return null;
  end $$;
  ${['regions', 'hosts', 'agents', 'backends', 'certificates', 'enrolment_tokens', 'decisions', 'actions']
    .map(
      (table) => `create trigger a_moment after insert or update or delete on fleet.${table}
        for each row execute function fleet.dawdle();`,
    )
    .join('')}`

/** Carries out everything until `untilMs`, and gives what went wrong; that a guard refuses is no fault. */
export async function crowd(fleet: FleetDatabase, untilMs: number): Promise<readonly string[]> {
  await fleet.sql(dawdle)
  const faults: string[] = []
  const loops = Object.entries(tasks).map(async ([name, task]) => {
    const on = await fleet.connect()
    // A deadlock is reported after this long, and waits for nobody else.
    await on.query(`set deadlock_timeout = '100ms'`)
    while (Date.now() < untilMs) {
      await task(on).catch((error: unknown) => {
        if (!(error instanceof pg.DatabaseError)) faults.push(`${name}: ${String(error)}`)
        else if (error.code !== '23514') faults.push(told(name, error))
      })
    }
  })
  await Promise.all(loops)
  return faults
}

/** All that the server says of it: a deadlock's detail names who waited for whom, its context the statement. */
function told(name: string, { code, message, detail, hint, where }: pg.DatabaseError): string {
  return [`${name}: ${code} ${message}`, detail, hint, where].filter(Boolean).join('\n')
}

let made = 0
const fresh = (prefix: string): string => `${prefix}${(made += 1)}`
const chance = (): boolean => Math.random() < 0.5
const shuffled = <T>(from: readonly T[]): readonly T[] => from.toSorted(() => Math.random() - 0.5)
const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)]!

const read = async (on: pg.Client, text: string): Promise<readonly Row[]> => (await on.query<Row>(text)).rows
const idsOf = async (on: pg.Client, text: string): Promise<readonly string[]> =>
  shuffled((await read(on, text)).map((row) => row['id'] as string))
const hostsOf = (on: pg.Client) => idsOf(on, `select id from fleet.hosts where status <> 'TERMINATED'`)
const backendsOf = (on: pg.Client) => idsOf(on, 'select id from fleet.backends')
const aHost = async (on: pg.Client): Promise<string> => (await hostsOf(on))[0] ?? 'none'
const aBackend = async (on: pg.Client): Promise<string> => (await backendsOf(on))[0] ?? 'none'
const aCertificate = async (on: pg.Client, which = 'true'): Promise<string> =>
  (await idsOf(on, `select serial as id from fleet.certificates where ${which}`))[0] ?? serialOf('none')
const live = 'revoked_at is null'
const now = (): string => new Date().toISOString()

async function issue(on: pg.Client, backend: string, renews: string | null = null): Promise<string> {
  const serial = serialOf(fresh('certificate '))
  const times = { not_before: '2020-01-01', not_after: chance() ? '2040-01-01' : now() }
  const wish = { serial, spki_hash: sha256(serial), issuer: 'i', pem: 'p', ...times }
  await call(on, 'store_certificate', [backend, wish, renews, 'anna'])
  return serial
}

const connect = (on: pg.Client, serial: string) => call(on, 'connect_backend', [serial, 'a', 2, fence])

const redeem = (on: pg.Client, token: string, machine: string, key: string) =>
  call(on, 'redeem_token', [token, sha256(token), sha256(key), machine, 'a', fence])

/** Store a turn, as whoever comes first does; gives its number when it was stored. */
async function turn(on: pg.Client, plan: Readonly<Record<string, unknown>>): Promise<number | undefined> {
  const [row] = await read(on, `select turn from fleet.regions where id = '${region}'`)
  const number = row!['turn'] as number
  const stored = await call(on, 'commit_turn', [region, number, fence, aPlan(plan)])
  return stored.length > 0 ? number : undefined
}

/** From the turn to the streams, a launch of three machines of which two come, sometimes with a reason. */
async function launch(on: pg.Client): Promise<void> {
  if ((await hostsOf(on)).length >= hostsKept) {
    await on.query('select pg_sleep(0.01)')
    return
  }
  const names = [fresh('h'), fresh('h'), fresh('h')]
  const number = await turn(on, {
    decisions: [{ place: 0, kind: 'launch', target: null, reason: 'wanted' }],
    actions: [{ place: 0, kind: 'launch', target: null, params: {} }],
    hosts: names.map((id) => ({ id, place: 0, image_id: `${region}/image`, version: 'v1', capacity: 2 })),
  })
  if (number === undefined) return
  const id = `${region}:${number}.0`
  const machines = [`${id}/1`, `${id}/2`]
  const offering = { instanceType: 'x', zone: '', lifecycle: 'spot' }
  const token = { id, secret_hash: sha256(id), uses: 2, lifetime_s: 900 }
  await call(on, 'begin_call', [id, fence, offering, {}, token])
  if (Math.random() < 0.2) {
    await call(on, 'refuse_call', [id, fence, 'capacity', 'none', 60, null])
    return
  }
  await redeem(on, id, machines[0]!, machines[0]!)
  const result = { cloud_ids: machines, ...(chance() && { code: 'capacity', message: 'no more' }) }
  await call(on, 'finish_launch', [id, fence, result])
  await redeem(on, id, machines[1]!, machines[1]!)
  for (const name of names) {
    await connect(on, await issue(on, name))
    await report(on, name)
  }
}

async function makeByHand(on: pg.Client): Promise<void> {
  if ((await backendsOf(on)).length >= 2 * hostsKept) {
    await on.query('select pg_sleep(0.01)')
    return
  }
  const wish = { name: 'by hand', description: '', address: '', region_id: region }
  const [row] = await call(on, 'create_backend', [wish, 'anna'])
  const id = row!['id'] as string
  const token = fresh('token ')
  await call(on, 'create_token', [id, token, sha256(token), 900, 'anna'])
  await redeem(on, token, '', fresh('key '))
  await connect(on, await issue(on, id))
}

async function report(on: pg.Client, host: string): Promise<void> {
  const known = await idsOf(on, `select id from fleet.agents where host_id = '${host}'`)
  const status = () => pick(['CONNECTING', 'RUNNING', 'DYING', 'WAITING'])
  const reports = known.slice(0, 4).map((id) => ({ id, status: status(), gone: Math.random() < 0.3 }))
  const news = [fresh('a'), fresh('a')].map((id) => ({ id, status: 'WAITING' }))
  await call(on, 'report_agents', [host, shuffled([...reports, ...news]), Math.random() < 0.2, fence])
}

/** Hosts and agents in whatever order the plan has them. */
async function decide(on: pg.Client): Promise<void> {
  const hosts = await hostsOf(on)
  const agents = await idsOf(on, `select id from fleet.agents where status <> 'DYING'`)
  const steps = [
    [['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE'], 'DRAINING'],
    [['ACTIVE', 'DRAINING'], 'TERMINATING'],
    [['TERMINATING'], 'TERMINATED'],
    [['PRE_CONNECTION', 'ACTIVE'], 'UNRESPONSIVE'],
  ] as const
  const updates = hosts.slice(0, 3).map((id, place) => {
    const [from, to] = pick(steps)
    return { id, place, from, to, reason: 'so it is', idle: chance() }
  })
  await turn(on, {
    decisions: updates.map(({ id, place }) => ({ place, kind: 'drain', target: id, reason: 'so it is' })),
    host_updates: updates,
    agent_updates: agents
      .slice(0, 3)
      .map((id) => ({ id, place: 9, from: ['WAITING', 'RUNNING'], to: 'DYING' })),
  })
}

/** Each refusal is the last word that a repetition counts again. */
const refuse = (on: pg.Client) =>
  turn(on, {
    decisions: shuffled([1, 2, 3]).map((place) => ({
      ...{ place, kind: 'refuse', target: `t${place}`, reason: 'no' },
    })),
  })

/** A token once more, with another key: its host is drained. */
async function reuse(on: pg.Client): Promise<void> {
  const [token] = shuffled(await read(on, 'select id, launch_id from fleet.enrolment_tokens'))
  if (token === undefined) return
  const [machine] = await idsOf(
    on,
    `select cloud_id as id from fleet.hosts where launch_id = '${String(token['launch_id'])}' and cloud_id is not null`,
  )
  await redeem(
    on,
    token['id'] as string,
    chance() && machine !== undefined ? machine : fresh('stranger '),
    fresh('key '),
  )
}

const userOf = (): string => pick(['u1', 'u2', 'u3', 'u4'])

async function useAgent(on: pg.Client): Promise<void> {
  const given = await claim(on, { user: userOf() })
  if (given['outcome'] === 'assigned' && chance()) {
    await call(on, 'give_up_agent', [given['id'], given['agent_id'], fence, null])
  }
}

/** What ends things, so that others have time for them. */
const rarely =
  (task: Task): Task =>
  async (on) => {
    await on.query('select pg_sleep(random() * 0.1)')
    await task(on)
  }

const tasks: Readonly<Record<string, Task>> = {
  launch,
  'make by hand': makeByHand,
  connect: async (on) => connect(on, await aCertificate(on, live)),
  'connect too': async (on) => connect(on, await aCertificate(on, live)),
  disconnect: async (on) => call(on, 'disconnect_backends', [chance() ? null : await backendsOf(on), fence]),
  'flush backends': async (on) =>
    call(on, 'flush_backends', [Object.fromEntries((await backendsOf(on)).map((id) => [id, now()])), fence]),
  'flush heartbeats': async (on) =>
    call(on, 'flush_heartbeats', [Object.fromEntries((await hostsOf(on)).map((id) => [id, now()])), fence]),
  'report info': async (on) => call(on, 'report_info', [await aBackend(on), '7b7d', fence]),
  terminate: rarely(async (on) =>
    call(on, 'terminate_backend', [await aBackend(on), 'user', pick(['kill', 'drain']), 'anna']),
  ),
  enable: async (on) => call(on, 'enable_backend', [await aBackend(on), 'anna']),
  update: async (on) =>
    call(on, 'update_backend', [await aBackend(on), { address: pick(['', 'x']) }, 'anna']),
  delete: rarely(async (on) => call(on, 'delete_backend', [await aBackend(on), chance(), 'anna'])),
  issue: async (on) => issue(on, await aBackend(on)),
  renew: async (on) => {
    const [row] = shuffled(await read(on, `select serial, backend_id from fleet.certificates where ${live}`))
    if (row !== undefined) await issue(on, row['backend_id'] as string, row['serial'] as string)
  },
  revoke: rarely(async (on) =>
    call(on, 'revoke_certificate', [await aCertificate(on), pick(['user', 'superseded']), 'anna']),
  ),
  'reuse a token': rarely(reuse),
  'end a host': rarely(async (on) => call(on, 'end_host', [await aHost(on), fence, 'gone'])),
  'drain a host': rarely(async (on) =>
    on.query(
      `update fleet.hosts set status = 'DRAINING' where id = $1 and status in ('PRE_CONNECTION', 'ACTIVE')`,
      [await aHost(on)],
    ),
  ),
  'register a host': async (on) => call(on, 'register_host', [await aHost(on), 'a', 2, fence]),
  interrupt: rarely(async (on) =>
    call(on, 'report_interruption', [await aHost(on), 'interruption', now(), 'terminate', fence]),
  ),
  'report agents': async (on) => report(on, await aHost(on)),
  'report agents too': async (on) => report(on, await aHost(on)),
  decide: rarely(decide),
  refuse: rarely(refuse),
  claim: useAgent,
  'claim too': useAgent,
  'block launches': rarely((on) => on.query(`select fleet.block_launches($1, 'x', 'x')`, [region])),
  'renew the lease': (on) => call(on, 'take_lease', ['daemon-1', 3600]),
  prune: rarely((on) => call(on, 'prune', [0, fence])),
}
