import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import {
  blockedOrDone,
  constraint,
  index,
  piece,
  proveDefences,
  refusalOf,
  refused,
  trigger,
} from './defence.ts'

const insertAgent = `insert into fleet.agents (id, host_id, region_id) values ('late', 'h1', 'local/demo')`
const drain = `update fleet.hosts set status = 'DRAINING' where id = 'h1'`

async function seed(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion('local/demo', { max_agents_per_user: 2 })
  await fleet.seedHosts(['h1', 'h2'])
}

async function statuses(fleet: FleetDatabase): Promise<readonly unknown[]> {
  return (await fleet.sql('select status from fleet.agents order by id')).map((row): unknown => row['status'])
}

const allocate = (id: string, columns: string) =>
  `update fleet.agents set status = 'ALLOCATED', ${columns} where id = '${id}'`

proveDefences('the fence: no user is given an agent of a host that is going away', [
  {
    holds: 'what stops a host from serving withdraws its free agents in the same transaction, and no others',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 3)
      await fleet.seedAgents('h2', 1)
      await fleet.sql(allocate('h1-a3', `user_id = 'u', user_slot = 1, session_id = 's'`))
      const client = await fleet.connect()
      await client.query('begin')
      await client.query(drain)
      const inside = await client.query('select status from fleet.agents order by id')
      expect(inside.rows.map((row: { status: string }) => row.status)).toEqual([
        'DYING',
        'DYING',
        'ALLOCATED',
        'WAITING',
      ])
      expect(await statuses(fleet)).toEqual(['WAITING', 'WAITING', 'ALLOCATED', 'WAITING'])
      await client.query('commit')
      expect(await statuses(fleet)).toEqual(['DYING', 'DYING', 'ALLOCATED', 'WAITING'])
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING' where id = 'h2'`)
      expect(await statuses(fleet)).toEqual(['DYING', 'DYING', 'ALLOCATED', 'DYING'])
      await fleet.sql(`update fleet.hosts set status = 'TERMINATED' where id = 'h2'`)
      expect(await statuses(fleet)).toEqual(['DYING', 'DYING', 'ALLOCATED'])
    },
    without: [trigger('hosts', 'fence'), piece('fence_host', `('DRAINING', 'TERMINATING')`, `('DRAINING')`)],
  },
  {
    holds: 'only a host that is PRE_CONNECTION or ACTIVE takes agents, of its own region',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedRegion('local/other')
      const all = [
        'LAUNCHING',
        'PRE_CONNECTION',
        'ACTIVE',
        'DRAINING',
        'UNRESPONSIVE',
        'TERMINATING',
        'TERMINATED',
      ]
      for (const status of all) {
        const before = status === 'UNRESPONSIVE' ? 'ACTIVE' : null
        await fleet.seedHosts([status], { status, status_before: before })
        const insert = `insert into fleet.agents (id, host_id, region_id) values ($1, $1, 'local/demo')`
        const takes = status === 'PRE_CONNECTION' || status === 'ACTIVE'
        expect(await refusalOf(fleet.sql(insert, [status])), status).toBe(takes ? undefined : refused)
      }
      const foreign = `insert into fleet.agents (id, host_id, region_id) values ('x', 'ACTIVE', 'local/other')`
      expect(await refusalOf(fleet.sql(foreign))).toBe(refused)
    },
    without: [
      trigger('agents', 'guard'),
      piece('guard_agent', 'if host.region_id <> new.region_id', 'if false'),
    ],
  },
  {
    holds: 'an agent that comes while its host is being drained waits, then is refused',
    check: async (fleet) => {
      await seed(fleet)
      const [drainer, inserter] = [await fleet.connect(), await fleet.connect()]
      await drainer.query('begin')
      await drainer.query(drain)
      const insert = refusalOf(inserter.query(insertAgent))
      await blockedOrDone(fleet, inserter, insert)
      await drainer.query('commit')
      expect(await insert).toBe(refused)
      expect(await statuses(fleet)).toEqual([])
    },
    without: [trigger('agents', 'guard'), piece('guard_agent', 'for share')],
  },
  {
    holds: 'a drain that comes while an agent is being inserted waits, then withdraws it',
    check: async (fleet) => {
      await seed(fleet)
      const [drainer, inserter] = [await fleet.connect(), await fleet.connect()]
      await inserter.query('begin')
      await inserter.query(insertAgent)
      const drained = drainer.query(drain)
      await blockedOrDone(fleet, drainer, drained)
      await inserter.query('commit')
      await drained
      expect(await statuses(fleet)).toEqual(['DYING'])
    },
    without: [trigger('hosts', 'fence'), piece('guard_agent', 'for share')],
  },
  {
    holds: 'a drain in a transaction that could not see such an agent is refused',
    check: async (fleet) => {
      await seed(fleet)
      const [drainer, inserter] = [await fleet.connect(), await fleet.connect()]
      await drainer.query('begin isolation level repeatable read')
      await drainer.query('select 1 from fleet.hosts')
      await inserter.query(insertAgent)
      expect(await refusalOf(drainer.query(drain))).toBe(refused)
      await drainer.query('rollback')
      expect(await statuses(fleet)).toEqual(['WAITING'])
    },
    without: [piece('fence_host', `<> 'read committed'`, `= 'nothing'`)],
  },
])

proveDefences('the limit: a user holds as many agents as the region allows', [
  {
    holds: 'a live agent has its user, slot and session; a WAITING one has none',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 1)
      for (const columns of [
        `user_slot = 1, session_id = 's'`,
        `user_id = 'u', session_id = 's'`,
        `user_id = 'u', user_slot = 1`,
      ]) {
        expect(await refusalOf(fleet.sql(allocate('h1-a1', columns))), columns).toBe(refused)
      }
    },
    without: [constraint('agents', 'agents_live_has_user')],
  },
  {
    holds: 'a WAITING agent belongs to nobody',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 1)
      for (const columns of [`user_id = 'u'`, 'user_slot = 1', `session_id = 's'`]) {
        expect(await refusalOf(fleet.sql(`update fleet.agents set ${columns}`)), columns).toBe(refused)
      }
    },
    without: [constraint('agents', 'agents_waiting_has_no_user')],
  },
  {
    holds: 'a slot holds one live agent, also for two writers at once',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 3)
      const [one, two] = [await fleet.connect(), await fleet.connect()]
      await one.query('begin')
      await one.query(allocate('h1-a1', `user_id = 'u', user_slot = 1, session_id = 's1'`))
      const second = refusalOf(
        two.query(allocate('h1-a2', `user_id = 'u', user_slot = 1, session_id = 's2'`)),
      )
      await blockedOrDone(fleet, two, second)
      await one.query('commit')
      expect(await second).toBe('23505')
      // Another slot, and the same slot once its agent is dying, are free.
      await fleet.sql(allocate('h1-a2', `user_id = 'u', user_slot = 2, session_id = 's2'`))
      await fleet.sql(`update fleet.agents set status = 'DYING' where id = 'h1-a1'`)
      await fleet.sql(allocate('h1-a3', `user_id = 'u', user_slot = 1, session_id = 's3'`))
    },
    without: [index('agents_user_slot')],
  },
  {
    holds: 'a session is held by one live agent of its user',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 2)
      await fleet.sql(allocate('h1-a1', `user_id = 'u', user_slot = 1, session_id = 's'`))
      const second = fleet.sql(allocate('h1-a2', `user_id = 'u', user_slot = 2, session_id = 's'`))
      expect(await refusalOf(second)).toBe('23505')
    },
    without: [index('agents_user_session')],
  },
  {
    holds: 'no slot is above the limit of the region, however the agent comes to it',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h1', 1)
      const third = `user_id = 'u', user_slot = 3, session_id = 's'`
      expect(await refusalOf(fleet.sql(allocate('h1-a1', third)))).toBe(refused)
      const born = `insert into fleet.agents (id, host_id, region_id, status, user_id, user_slot, session_id)
        values ('b', 'h1', 'local/demo', 'RUNNING', 'u', 3, 's')`
      expect(await refusalOf(fleet.sql(born))).toBe(refused)
      expect(
        await refusalOf(fleet.sql(allocate('h1-a1', `user_id = 'u', user_slot = 0, session_id = 's'`))),
      ).toBe(refused)
    },
    without: [
      trigger('agents', 'guard'),
      piece('guard_agent', 'if new.user_slot > slots', 'if false'),
      constraint('agents', 'agents_user_slot_check'),
    ],
  },
])
