import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { both, call, constraint, piece, proveDefences, refusalOf, refused } from './defence.ts'

const live = `user_id = 'u', user_slot = 1, session_id = 's'`

async function seed(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion()
  await fleet.seedHosts(['h1', 'h2'])
  await fleet.seedAgents('h1', 3)
  await fleet.takeLease()
}

async function report(fleet: FleetDatabase, reports: readonly object[], isFull = false, host = 'h1') {
  const rows = await call(fleet.pool, 'report_agents', [host, reports, isFull, 1])
  return rows.map((row) => `${String(row['id'])} ${String(row['status'])}`)
}

proveDefences('report_agents: what a manager says of its agents', [
  {
    holds: 'states only move forward, and nobody serves without having been allocated',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql(`update fleet.agents set status = 'ALLOCATED', ${live} where id = 'h1-a1'`)
      const said = (status: string) =>
        report(fleet, [
          { id: 'h1-a1', status },
          { id: 'h1-a2', status },
        ])
      const others = 'h1-a3 WAITING'
      expect(await said('WAITING')).toEqual(['h1-a1 ALLOCATED', 'h1-a2 WAITING', others])
      expect(await said('RUNNING')).toEqual(['h1-a1 RUNNING', 'h1-a2 WAITING', others])
      expect(await said('CONNECTING')).toEqual(['h1-a1 RUNNING', 'h1-a2 WAITING', others])
      expect(await said('ALLOCATED')).toEqual(['h1-a1 RUNNING', 'h1-a2 WAITING', others])
      expect(await said('DYING')).toEqual(['h1-a1 DYING', 'h1-a2 DYING', others])
    },
    // The CHECK would still refuse an agent that serves nobody: without both the lie is stored.
    without: [
      both(
        constraint('agents', 'agents_live_has_user'),
        piece('report_agents', `and (r.status = 'DYING' or a.status <> 'WAITING')`),
      ),
    ],
  },
  {
    holds: 'an agent that is gone loses its row; a full report tells all that are not listed gone',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedAgents('h2', 1)
      expect(await report(fleet, [{ id: 'h1-a1', status: 'DYING', gone: true }])).toEqual([
        'h1-a2 WAITING',
        'h1-a3 WAITING',
      ])
      expect(await report(fleet, [{ id: 'h1-a2', status: 'WAITING' }], true)).toEqual(['h1-a2 WAITING'])
      // Another host's agents are not its to end.
      await report(fleet, [
        { id: 'h2-a1', status: 'DYING', gone: true },
        { id: 'h2-a1', status: 'DYING' },
      ])
      expect(await fleet.sql(`select status from fleet.agents where host_id = 'h2'`)).toEqual([
        { status: 'WAITING' },
      ])
      expect(await report(fleet, [], true)).toEqual([])
    },
    without: [
      piece('report_agents', 'or (is_full and not exists', 'or (false and not exists'),
      piece('report_agents', 'r.id = a.id and r.gone', 'false'),
      piece('report_agents', 'where a.host_id = host.id and', 'where'),
    ],
  },
  {
    holds: 'a new agent gets its row while its host takes agents, and none afterwards',
    check: async (fleet) => {
      await seed(fleet)
      const one = { id: 'new1', status: 'WAITING', port: 4567, app: 'game' }
      expect(await report(fleet, [one, one])).toContain('new1 WAITING')
      expect(await fleet.sql(`select region_id, port, app from fleet.agents where id = 'new1'`)).toEqual([
        { region_id: 'local/demo', port: 4567, app: 'game' },
      ])
      await report(fleet, [
        { id: 'new2', status: 'RUNNING' },
        { id: 'new2', status: 'DYING' },
      ])
      expect(await fleet.sql(`select id from fleet.agents where id = 'new2'`)).toEqual([])
      await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h1'`)
      const refusal = await refusalOf(report(fleet, [{ id: 'new3', status: 'WAITING' }]))
      expect(refusal).toBeUndefined()
      expect(await fleet.sql(`select id from fleet.agents where id = 'new3'`)).toEqual([])
    },
    without: [
      piece('report_agents', `if host.status in ('PRE_CONNECTION', 'ACTIVE') then`, 'if true then'),
      piece('report_agents', `r.status = 'WAITING' and not`, 'not'),
    ],
  },
  {
    holds: 'a host that has no row is an error: no answer would mean that every agent must stop',
    check: async (fleet) => {
      await seed(fleet)
      expect(await refusalOf(report(fleet, [], false, 'nobody'))).toBe(refused)
    },
    without: [piece('report_agents', 'if not found then', 'if false then')],
  },
])

proveDefences('prune: what is past its retention goes, and nothing else', [
  {
    holds: 'changes after an hour, the rest after the given days, and nothing that is still under way',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql('delete from fleet.changes')
      const old = `now() - interval '31 days'`
      await fleet.seedHosts(['ended', 'fresh'], { status: 'TERMINATED' })
      await fleet.sql('delete from fleet.changes')
      await fleet.sql(`insert into fleet.changes (table_name, row_id, region_id, created_at) values
        ('hosts', 'old', 'r', now() - interval '61 minutes'), ('hosts', 'new', 'r', now())`)
      await fleet.sql('alter table fleet.hosts disable trigger guard')
      await fleet.sql(`update fleet.hosts set updated_at = ${old} where id in ('ended', 'h1')`)
      await fleet.sql('alter table fleet.hosts enable trigger guard')
      await fleet.sql(`insert into fleet.decisions (id, region_id, turn, place, kind, reason, created_at, updated_at) values
        ('old', 'r', 1, 0, 'x', 'x', ${old}, ${old}), ('open', 'r', 2, 0, 'x', 'x', ${old}, ${old}),
        ('repeated', 'r', 3, 0, 'x', 'x', ${old}, now())`)
      await fleet.sql(`insert into fleet.actions (id, decision_id, region_id, kind, status, created_at) values
        ('old', 'old', 'r', 'x', 'SUCCEEDED', ${old}), ('open', 'open', 'r', 'x', 'QUEUED', ${old})`)
      await fleet.sql(
        `insert into fleet.action_logs (action_id, sequence, message) values ('old', 1, 'x'), ('open', 1, 'x')`,
      )
      await fleet.sql(`insert into fleet.assignments (id, user_id, outcome, requested_at, ended_at) values
        ('served', 'u', 'assigned', ${old}, ${old}), ('running', 'u', 'assigned', ${old}, null),
        ('missed', 'u', 'no-capacity', ${old}, null), ('new', 'u', 'no-capacity', now(), null)`)
      await call(fleet.pool, 'prune', [30, 1])
      const left = async (table: string, column = 'id') =>
        (await fleet.sql(`select ${column} as id from fleet.${table} order by 1`)).map(
          (row): unknown => row['id'],
        )
      expect(await left('hosts')).toEqual(['fresh', 'h1', 'h2'])
      expect(await left('decisions')).toEqual(['open', 'repeated'])
      expect(await left('actions')).toEqual(['open'])
      expect(await left('action_logs', 'action_id')).toEqual(['open'])
      expect(await left('assignments')).toEqual(['new', 'running'])
      expect(await left('changes', 'row_id')).not.toContain('old')
      expect(await left('changes', 'row_id')).toContain('new')
    },
    without: [
      piece('prune', `h.status = 'TERMINATED' and`),
      piece('prune', `a.status not in ('QUEUED', 'RUNNING') and`),
      piece('prune', `(s.ended_at is not null or s.outcome <> 'assigned')`, 'true'),
      piece('prune', 'and not exists (select 1 from fleet.actions a where a.decision_id = d.id)'),
      piece('prune', `interval '1 hour'`, `interval '2 hours'`),
    ],
  },
])
