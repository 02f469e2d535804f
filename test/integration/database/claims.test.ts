import { expect } from 'vitest'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { blockedOrDone, both, call, claim, ids, piece, proveDefences, tally, trigger } from './defence.ts'

const hosts = ids('h', 30)

/** The region at max_hosts: 30 hosts with 2 free agents each. */
async function seed(fleet: FleetDatabase, columns: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await fleet.seedRegion('local/demo', { max_hosts: hosts.length, ...columns })
  await fleet.seedHosts(hosts)
  await fleet.sql(`insert into fleet.agents (id, host_id, region_id, port)
    select h.id || '-' || n, h.id, h.region_id, 4000 from fleet.hosts h, generate_series(1, 2) n`)
  await fleet.takeLease()
  // All connections of the pool are open before the race begins.
  await Promise.all(Array.from({ length: 12 }, () => fleet.sql('select pg_sleep(0.05)')))
}

/** The answer, or the error in its place: both are outcomes that a tally shows. */
function answerOf(answer: Promise<Row>): Promise<Row> {
  return answer.catch((error: unknown): Row => ({ outcome: String(error) }))
}

async function claimAll(
  fleet: FleetDatabase,
  wishes: readonly Parameters<typeof claim>[1][],
): Promise<readonly Row[]> {
  return Promise.all(wishes.map((wish) => answerOf(claim(fleet.pool, wish))))
}

/** The same wish `count` times: all others begin while the first has not committed. */
async function claimAtOnce(
  fleet: FleetDatabase,
  wish: Parameters<typeof claim>[1],
  count: number,
): Promise<readonly Row[]> {
  const [first, second] = [await fleet.connect(), await fleet.connect()]
  await first.query('begin')
  const one = await claim(first, wish)
  const two = answerOf(claim(second, wish))
  await blockedOrDone(fleet, second, two)
  const others = claimAll(fleet, Array<typeof wish>(count - 2).fill(wish))
  await first.query('commit')
  return [one, await two, ...(await others)]
}

const outcomes = (rows: readonly Row[]) => tally(rows.map((row): unknown => row['outcome']))
const agentsOf = (rows: readonly Row[]) =>
  rows.filter((row) => row['outcome'] === 'assigned').map((row) => row['agent_id'] as string)
const users = (count: number) => ids('u', count).map((user) => ({ user }))

const userLock = piece(
  'claim_agent',
  `perform pg_advisory_xact_lock(hashtextextended('muster/user/' || (request ->> 'user_id'), 0));`,
)

proveDefences('claims: who gets which agent', [
  {
    holds: '200 users at once for 60 free agents: 60 get 60 different agents, 140 get no-capacity',
    check: async (fleet) => {
      await seed(fleet)
      const answers = await claimAll(fleet, users(200))
      expect(outcomes(answers)).toEqual({ assigned: 60, 'no-capacity': 140 })
      expect(new Set(agentsOf(answers)).size).toBe(60)
      const rows = await fleet.sql(
        `select id, user_id, session_id from fleet.agents where status = 'ALLOCATED'`,
      )
      expect(rows).toHaveLength(60)
      const byAgent = new Map(rows.map((row) => [row['id'] as string, row]))
      for (const answer of answers.filter((row) => row['outcome'] === 'assigned')) {
        expect(byAgent.get(answer['agent_id'] as string)).toMatchObject({
          user_id: answer['user_id'] as string,
          session_id: answer['session_id'] as string,
        })
      }
      expect(await fleet.sql(`select 1 from fleet.assignments where outcome = 'assigned'`)).toHaveLength(60)
    },
    // With either alone the other passes the test: together they are the lock on the agent.
    without: [
      both(
        piece('claim_agent', 'for update of a skip locked'),
        piece('claim_agent', 'for update of a;', ';'),
      ),
    ],
  },
  {
    holds: 'an agent that is locked for a moment is waited for before no-capacity is said',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedHosts(['h1'])
      await fleet.seedAgents('h1', 1)
      await fleet.takeLease()
      const [holder, claimer] = [await fleet.connect(), await fleet.connect()]
      await holder.query('begin')
      await claim(holder)
      const second = claim(claimer)
      await blockedOrDone(fleet, claimer, second)
      await holder.query('rollback')
      expect((await second)['outcome']).toBe('assigned')
    },
    without: [piece('claim_agent', 'while chosen.id is null loop', 'while false loop')],
  },
  {
    holds: 'the same under concurrent drains: nobody gets an agent of a host that goes away',
    check: async (fleet) => {
      await seed(fleet)
      const drained = hosts.slice(0, 15)
      const drains = drained.map((id) =>
        fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = $1`, [id]),
      )
      const [answers] = await Promise.all([claimAll(fleet, users(100)), ...drains])
      const late = await claimAll(
        fleet,
        ids('late', 100).map((user) => ({ user })),
      )
      const all = [...answers, ...late]
      const assigned = agentsOf(all)
      expect(Object.keys(outcomes(all)).sort()).toEqual(['assigned', 'no-capacity'])
      expect(new Set(assigned).size).toBe(assigned.length)
      // An agent is a user's, or withdrawn: none is both, and none is left over.
      const rows = await fleet.sql('select id, status from fleet.agents')
      expect(tally(rows.map((row): unknown => row['status']))).toEqual({
        ALLOCATED: assigned.length,
        ...(assigned.length < 60 ? { DYING: 60 - assigned.length } : {}),
      })
      const allocated = rows.filter((row) => row['status'] === 'ALLOCATED').map((row) => row['id'] as string)
      expect(allocated.sort()).toEqual(assigned.sort())
      const hostsOfLate = new Set(late.map((row) => row['host_id'] as string | null))
      expect(drained.filter((id) => hostsOfLate.has(id))).toEqual([])
    },
    without: [trigger('hosts', 'fence')],
  },
  {
    holds: 'a claim that waits for an agent which is withdrawn meanwhile does not get it',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedHosts(['h1'])
      await fleet.seedAgents('h1', 1)
      await fleet.takeLease()
      const [drainer, claimer] = [await fleet.connect(), await fleet.connect()]
      await drainer.query('begin')
      await drainer.query(`update fleet.hosts set status = 'DRAINING'`)
      const answer = answerOf(claim(claimer))
      expect(await blockedOrDone(fleet, claimer, answer)).toBe('blocked')
      await drainer.query('commit')
      expect((await answer)['outcome']).toBe('no-capacity')
      expect(await fleet.sql('select status from fleet.agents')).toEqual([{ status: 'DYING' }])
    },
    without: [trigger('hosts', 'fence'), piece('claim_agent', 'for update of a;', ';')],
  },
  {
    holds: 'one user with limit 2 and 50 requests at once gets exactly 2',
    check: async (fleet) => {
      await seed(fleet, { max_agents_per_user: 2 })
      const answers = await claimAtOnce(fleet, { user: 'eager' }, 50)
      expect(outcomes(answers)).toEqual({ assigned: 2, 'user-already-active': 48 })
      expect(new Set(agentsOf(answers)).size).toBe(2)
      const slots = await fleet.sql('select user_slot from fleet.agents where user_id is not null order by 1')
      expect(slots).toEqual([{ user_slot: 1 }, { user_slot: 2 }])
    },
    without: [userLock],
  },
  {
    holds: 'the same request 20 times at once is one agent and one row',
    check: async (fleet) => {
      await seed(fleet, { max_agents_per_user: 5 })
      const answers = await claimAtOnce(fleet, { user: 'patient', key: 'k1', session: 's1' }, 20)
      expect(outcomes(answers)).toEqual({ assigned: 20 })
      expect(new Set(answers.map((row) => row['agent_id'] as string)).size).toBe(1)
      expect(await fleet.sql(`select 1 from fleet.agents where status <> 'WAITING'`)).toHaveLength(1)
      expect(await fleet.sql('select 1 from fleet.assignments')).toHaveLength(1)
      // The key is the user's own.
      expect((await claim(fleet.pool, { user: 'other', key: 'k1' }))['agent_id']).not.toBe(
        answers[0]!['agent_id'],
      )
    },
    without: [userLock, piece('claim_agent', 'is_known := found;', 'is_known := false;')],
  },
  {
    holds: 'a key that was given up is served anew, in the same row',
    check: async (fleet) => {
      await seed(fleet)
      const first = await claim(fleet.pool, { user: 'u', key: 'k' })
      await call(fleet.pool, 'give_up_agent', [first['id'], first['agent_id'], 1, null])
      const second = await claim(fleet.pool, { user: 'u', key: 'k' })
      expect(second).toMatchObject({ id: first['id'] as string, outcome: 'assigned' })
      expect(second['agent_id']).not.toBe(first['agent_id'])
      expect(await fleet.sql('select agent_id, outcome, ended_at from fleet.assignments')).toEqual([
        { agent_id: second['agent_id'] as string, outcome: 'assigned', ended_at: null },
      ])
    },
    without: [piece('claim_agent', `if is_known and answer.outcome = 'assigned' then`, 'if is_known then')],
  },
  {
    holds:
      'only WAITING agents of ACTIVE hosts of the wanted image are given, not of hosts that are excluded',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedRegion('local/other')
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version) values ('old', 'local/demo', 'x', 'v0')`,
      )
      await fleet.seedHosts(['silent', 'excluded'])
      await fleet.seedHosts(['old'], { image_id: 'old' })
      await fleet.seedHosts(['foreign'], { region_id: 'local/other', image_id: 'local/demo/image' })
      for (const host of ['silent', 'excluded', 'old', 'foreign']) await fleet.seedAgents(host, 1)
      await fleet.sql(`update fleet.hosts set status = 'UNRESPONSIVE' where id = 'silent'`)
      await fleet.takeLease()
      const candidates = ['silent-a1', 'old-a1', 'foreign-a1', 'no such agent']
      const answer = await claim(fleet.pool, { candidates, excluded: ['excluded'] })
      expect(answer).toMatchObject({ outcome: 'no-capacity', agent_id: null })
      expect(await claim(fleet.pool, { image: 'old' })).toMatchObject({ agent_id: 'old-a1' })
      expect(await claim(fleet.pool, { candidates })).toMatchObject({ agent_id: 'excluded-a1' })
    },
    without: [
      piece('claim_agent', `h.status = 'ACTIVE'`, 'true'),
      piece('claim_agent', 'h.image_id = answer.image_id', 'true'),
      piece('claim_agent', 'a.region_id = region.id', 'true'),
      piece('claim_agent', `not coalesce(request -> 'excluded_hosts', '[]') ? h.id`, 'true'),
    ],
  },
  {
    holds: 'the first candidate that is free is given',
    check: async (fleet) => {
      await seed(fleet)
      const candidates = ['h020-2', 'h003-1', 'h017-1']
      for (const expected of candidates) {
        expect((await claim(fleet.pool, { candidates }))['agent_id']).toBe(expected)
      }
      expect((await claim(fleet.pool, { candidates }))['outcome']).toBe('assigned')
    },
    without: [piece('claim_agent', 'order by c.place limit 1', 'order by a.id limit 1')],
  },
  {
    holds: 'a region that is disabled or absent and a lease that is not ours give nothing, and store nothing',
    check: async (fleet) => {
      await seed(fleet)
      expect((await claim(fleet.pool, { fence: 2 }))['outcome']).toBe('not-active')
      expect((await claim(fleet.pool, { region: 'local/none' }))['outcome']).toBe('region-not-enabled')
      await fleet.sql('update fleet.regions set enabled = false')
      expect((await claim(fleet.pool))['outcome']).toBe('region-not-enabled')
      await fleet.sql('update fleet.regions set enabled = true')
      await fleet.sql('update fleet.leases set expires_at = now()')
      expect((await claim(fleet.pool))['outcome']).toBe('not-active')
      expect(await fleet.sql('select 1 from fleet.assignments')).toEqual([])
      expect(await fleet.sql(`select 1 from fleet.agents where status <> 'WAITING'`)).toEqual([])
    },
    without: [
      piece('claim_agent', 'l.fence = claim_agent.fence', 'true'),
      piece('claim_agent', 'l.expires_at > now()', 'true'),
      piece('claim_agent', 'or not region.enabled'),
    ],
  },
  {
    holds: 'giving up spends exactly the agent of that assignment, while it serves nobody',
    check: async (fleet) => {
      await seed(fleet)
      const [one, two] = [await claim(fleet.pool), await claim(fleet.pool)]
      await call(fleet.pool, 'give_up_agent', [one['id'], two['agent_id'], 1, null])
      expect(await fleet.sql(`select 1 from fleet.agents where status = 'DYING'`)).toEqual([])
      await call(fleet.pool, 'give_up_agent', [one['id'], one['agent_id'], 1, null])
      await call(fleet.pool, 'give_up_agent', [one['id'], one['agent_id'], 1, null])
      const rows = await fleet.sql(
        `select id, status from fleet.agents where status <> 'WAITING' order by status`,
      )
      expect(rows).toEqual([
        { id: two['agent_id'] as string, status: 'ALLOCATED' },
        { id: one['agent_id'] as string, status: 'DYING' },
      ])
      const [given] = await fleet.sql('select outcome, ended_at from fleet.assignments where id = $1', [
        one['id'],
      ])
      expect(given).toMatchObject({ outcome: 'given-up', ended_at: expect.any(Date) as Date })
      await fleet.sql(`update fleet.agents set status = 'RUNNING' where status = 'ALLOCATED'`)
      await call(fleet.pool, 'give_up_agent', [two['id'], two['agent_id'], 1, null])
      expect(await fleet.sql(`select 1 from fleet.agents where status = 'RUNNING'`)).toHaveLength(1)
    },
    without: [
      piece('give_up_agent', 's.agent_id = a.id and s.session_id = a.session_id', 'true'),
      piece('give_up_agent', `a.status in ('ALLOCATED', 'CONNECTING')`, 'true'),
    ],
  },
  {
    holds: 'an assignment learns when its session ran and when it ended',
    check: async (fleet) => {
      await seed(fleet)
      const { agent_id: agent } = await claim(fleet.pool)
      const times = async () => (await fleet.sql('select running_at, ended_at from fleet.assignments'))[0]
      expect(await times()).toEqual({ running_at: null, ended_at: null })
      await fleet.sql(`update fleet.agents set status = 'RUNNING' where id = $1`, [agent])
      expect(await times()).toEqual({ running_at: expect.any(Date) as Date, ended_at: null })
      await fleet.sql('delete from fleet.agents where id = $1', [agent])
      expect(await times()).toEqual({
        running_at: expect.any(Date) as Date,
        ended_at: expect.any(Date) as Date,
      })
    },
    without: [trigger('agents', 'note_session')],
  },
])
