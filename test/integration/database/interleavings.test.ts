/** Whatever users, drains, managers and turns do at once, in whatever order: what must never be seen is not seen. */
import fc from 'fast-check'
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { aPlan, both, call, claim, ids, piece, tally, trigger } from './defence.ts'

const region = 'local/demo'
const hosts = ids('h', 4)
const host = fc.constantFrom(...hosts)

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('claim' as const),
      user: fc.constantFrom('u1', 'u2', 'u3', 'u4'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drain' as const), host }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('idle-drain' as const), host }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('new-agent' as const), host }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end-session' as const), host }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end-host' as const), host }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Each connection does its steps in order, some of them in one transaction. */
const plan = fc.array(
  fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 3 }), isOneTransaction: fc.boolean() }),
  { minLength: 4, maxLength: 12 },
)

interface Given {
  readonly agentId: string
  readonly user: string
}

describeOnPostgres('claims against drains, in random interleavings', () => {
  let fleet: FleetDatabase
  let connections: pg.Client[]
  let agents = 0
  beforeEach(async () => {
    connections = []
    fleet = await fleetDatabase()
    await fleet.seedRegion(region, { max_agents_per_user: 2 })
    await fleet.takeLease()
    for (let number = 0; number < 12; number += 1) {
      const connection = await fleet.connect()
      // Transactions of several steps do meet in deadlocks: they need not be waited for.
      await connection.query(`set deadlock_timeout = '20ms'`)
      connections.push(connection)
    }
  })
  afterEach(() => fleet.close())

  async function carryOut(on: pg.Client, wish: Step, given: Given[]): Promise<void> {
    switch (wish.kind) {
      case 'claim': {
        const answer = await claim(on, { user: wish.user })
        const outcome = answer['outcome'] as string
        if (outcome === 'assigned') given.push({ agentId: answer['agent_id'] as string, user: wish.user })
        else expect(['no-capacity', 'user-already-active']).toContain(outcome)
        break
      }
      case 'drain':
        await on.query(`update fleet.hosts set status = 'DRAINING' where id = $1 and status = 'ACTIVE'`, [
          wish.host,
        ])
        break
      case 'idle-drain': {
        const [row] = (await on.query<{ turn: number }>('select turn from fleet.regions')).rows
        const update = {
          id: wish.host,
          place: 0,
          from: ['ACTIVE'],
          to: 'DRAINING',
          reason: 'idle',
          idle: true,
        }
        const decisions = [{ place: 0, kind: 'drain', target: wish.host, reason: 'idle' }]
        await call(on, 'commit_turn', [region, row!.turn, 1, aPlan({ decisions, host_updates: [update] })])
        break
      }
      case 'new-agent':
        agents += 1
        await call(on, 'report_agents', [wish.host, [{ id: `new${agents}`, status: 'WAITING' }], false, 1])
        break
      case 'end-session':
        await on.query(
          `update fleet.agents set status = 'DYING' where host_id = $1 and status = 'ALLOCATED'`,
          [wish.host],
        )
        break
      case 'end-host':
        await call(on, 'end_host', [wish.host, 1, 'gone'])
        break
    }
  }

  async function run(
    on: pg.Client,
    steps: readonly Step[],
    isOneTransaction: boolean,
  ): Promise<readonly Given[]> {
    const given: Given[] = []
    if (isOneTransaction) await on.query('begin')
    try {
      for (const wish of steps) {
        const beforeStep = given.length
        try {
          await carryOut(on, wish, given)
        } catch (error) {
          // A transaction of several steps may meet another in a deadlock: it is refused whole, which is no violation.
          if (!(error instanceof pg.DatabaseError) || error.code !== '40P01') throw error
          if (isOneTransaction) return []
          given.length = beforeStep
        }
      }
      return given
    } finally {
      if (isOneTransaction) await on.query('commit')
    }
  }

  const nobodyIsGivenWhatGoesAway = () =>
    fc.asyncProperty(plan, async (scripts) => {
      await fleet.sql('delete from fleet.hosts')
      await fleet.seedHosts(hosts)
      for (const id of hosts) await fleet.seedAgents(id, 2)
      const given = (
        await Promise.all(
          scripts.map(({ steps, isOneTransaction }, place) =>
            run(connections[place]!, steps, isOneTransaction),
          ),
        )
      ).flat()

      const rows = await fleet.sql(
        `select a.id, a.status, a.user_id, h.status as host from fleet.agents a join fleet.hosts h on h.id = a.host_id`,
      )
      expect(Object.values(tally(given.map((one) => one.agentId))).filter((times) => times > 1)).toEqual([])
      for (const { agentId, user } of given) {
        const row = rows.find((one) => one['id'] === agentId)
        if (row !== undefined) expect(row['user_id']).toBe(user)
      }
      const allocated = rows.filter((row) => row['status'] === 'ALLOCATED')
      for (const count of Object.values(tally(allocated.map((row): unknown => row['user_id'])))) {
        expect(count).toBeLessThanOrEqual(2)
      }
      expect(rows.filter((row) => row['status'] === 'WAITING' && row['host'] !== 'ACTIVE')).toEqual([])
      expect(rows.filter((row) => row['host'] === 'TERMINATED')).toEqual([])
    })

  it('no agent is given twice, no user holds too many, no free agent is left on a host that goes away', async () => {
    await fc.assert(nobodyIsGivenWhatGoesAway(), { numRuns: 40 })
  })

  it.each([
    ['the fence', trigger('hosts', 'fence')],
    [
      'the lock on the agent',
      both(
        piece('claim_agent', 'for update of a skip locked'),
        piece('claim_agent', 'for update of a;', ';'),
      ),
    ],
  ] as const)('which is seen as soon as %s is out', async (name, mutation) => {
    await mutation(fleet)
    const { failed } = await fc.check(nobodyIsGivenWhatGoesAway(), { numRuns: 200, endOnFailure: true })
    expect(failed, name).toBe(true)
  })

  it('what the daemon does at once never deadlocks: everybody locks region, host, agents in this order', async () => {
    await fleet.sql('delete from fleet.hosts')
    await fleet.seedHosts(hosts, { launch_id: 'L1' })
    for (const id of hosts) await fleet.seedAgents(id, 2)
    const end = Date.now() + 1_500
    const shuffled = () => hosts.toSorted(() => Math.random() - 0.5)
    const beats = () => Object.fromEntries(shuffled().map((id) => [id, new Date().toISOString()]))
    const work: readonly ((on: pg.Client) => Promise<unknown>)[] = [
      (on) => on.query(`select fleet.block_launches('${region}', 'x', 'x')`),
      (on) => call(on, 'register_host', [shuffled()[0], 'a', 2, 1]),
      (on) => call(on, 'register_host', [shuffled()[0], 'b', 3, 1]),
      (on) => call(on, 'flush_heartbeats', [beats(), 1]),
      (on) => call(on, 'bind_launch', ['L1', shuffled()]),
      (on) => call(on, 'report_agents', [shuffled()[0], [{ id: 'x', status: 'WAITING' }], false, 1]),
      (on) =>
        on.query(`update fleet.hosts set reason = clock_timestamp()::text where id = $1`, [shuffled()[0]]),
      async (on) => {
        await on.query(`insert into fleet.actions (id, decision_id, region_id, kind) values ('L1', 'x', '${region}', 'launch')
          on conflict (id) do update set status = 'RUNNING'`)
        await call(on, 'finish_launch', ['L1', 1, { cloud_ids: shuffled(), code: 'throttled' }])
      },
      async (on) => {
        await on.query(`insert into fleet.actions (id, decision_id, region_id, kind) values ('L1~2', 'x', '${region}', 'launch')
          on conflict (id) do update set status = 'RUNNING'`)
        const token = { id: 't1', secret_hash: 'a'.repeat(64), uses: 1, lifetime_s: 900 }
        const offering = { instanceType: 'small', zone: '', lifecycle: 'spot', agents: 2 }
        await call(on, 'begin_call', ['L1~2', 1, offering, {}, token])
        await call(on, 'refuse_call', ['L1~2', 1, 'quota-exceeded', 'full', 900, null])
      },
      async (on) => {
        const [row] = (await on.query<{ turn: number }>('select turn from fleet.regions')).rows
        const updates = shuffled().map((id, place) => ({
          ...{ id, place, from: ['ACTIVE'], to: 'UNRESPONSIVE', reason: 'look', idle: true },
        }))
        const decisions = updates.map(({ id, place }) => ({
          place,
          kind: 'drain',
          target: id,
          reason: 'look',
        }))
        await call(on, 'commit_turn', [region, row!.turn, 1, aPlan({ decisions, host_updates: updates })])
      },
      (on) => claim(on, { user: 'u1' }),
    ]
    const failures: unknown[] = []
    await Promise.all(
      work.map(async (task, place) => {
        while (Date.now() < end) {
          await task(connections[place]!).catch((error: unknown) => failures.push(error))
        }
      }),
    )
    expect(failures.map(String)).toEqual([])
  })
})
