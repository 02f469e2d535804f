import { expect } from 'vitest'

import { agentStatuses, agentTransitionIsLegal } from '../../../src/model/agent.ts'
import type { HostStatus, HostStatusBefore } from '../../../src/model/host.ts'
import { hostStatuses, hostTransitionIsLegal } from '../../../src/model/host.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { constraint, index, piece, proveDefences, refusalOf, refused, trigger } from './defence.ts'

/** Every pair of states that a host can be in, with what an UNRESPONSIVE one was. */
const hostPairs = hostStatuses.flatMap((was) => {
  const befores: readonly (HostStatusBefore | null)[] =
    was === 'UNRESPONSIVE' ? ['PRE_CONNECTION', 'ACTIVE', 'DRAINING'] : [null]
  return befores.flatMap((before) => hostStatuses.map((becomes) => ({ was, before, becomes })))
})

async function refusesToInsert(fleet: FleetDatabase, table: string, row: string): Promise<void> {
  expect(await refusalOf(fleet.sql(`insert into fleet.${table} ${row}`))).toBe(refused)
}

const liveColumns = `user_id = 'u1', user_slot = 1, session_id = 's1'`

proveDefences('transitions hold against plain SQL', [
  {
    holds: 'hosts move as src/model/host.ts says, pair by pair',
    check: async (fleet) => {
      await fleet.seedRegion()
      for (const [number, { was, before, becomes }] of hostPairs.entries()) {
        const id = `h${number}`
        await fleet.seedHosts([id], { status: was, status_before: before })
        const refusal = await refusalOf(
          fleet.sql('update fleet.hosts set status = $2 where id = $1', [id, becomes]),
        )
        const isLegal = was === becomes || hostTransitionIsLegal(was, becomes, before)
        expect(refusal, `${was} (${before ?? ''}) to ${becomes}`).toBe(isLegal ? undefined : refused)
        const [row] = await fleet.sql('select status, status_before from fleet.hosts where id = $1', [id])
        const after: HostStatus = isLegal ? becomes : was
        expect(row).toEqual({
          status: after,
          status_before: after !== 'UNRESPONSIVE' ? null : was === 'UNRESPONSIVE' ? before : was,
        })
      }
    },
    without: [
      trigger('hosts', 'guard'),
      piece('host_transition_is_legal', `becomes in ('UNRESPONSIVE', 'TERMINATING')`, 'true'),
      piece('host_transition_is_legal', 'coalesce(becomes = before, false)', 'true'),
    ],
  },
  {
    holds: 'agents move as src/model/agent.ts says, pair by pair: none returns to WAITING',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedHosts(['h1'])
      for (const was of agentStatuses) {
        for (const becomes of agentStatuses) {
          await fleet.sql('delete from fleet.agents')
          await fleet.sql(
            `insert into fleet.agents (id, host_id, region_id) values ('a1', 'h1', 'local/demo')`,
          )
          if (was !== 'WAITING') await fleet.sql(`update fleet.agents set status = $1, ${liveColumns}`, [was])
          const columns = becomes === 'WAITING' ? '' : `, ${liveColumns}`
          const refusal = await refusalOf(
            fleet.sql(`update fleet.agents set status = $1 ${columns}`, [becomes]),
          )
          const isLegal = was === becomes || agentTransitionIsLegal(was, becomes)
          expect(refusal, `${was} to ${becomes}`).toBe(isLegal ? undefined : refused)
        }
      }
    },
    without: [trigger('agents', 'guard')],
  },
  {
    holds: 'an agent never changes its user, its session, its host or its id',
    check: async (fleet) => {
      await fleet.seedRegion('local/demo', { max_agents_per_user: 2 })
      await fleet.seedHosts(['h1', 'h2'])
      await fleet.seedAgents('h1', 1)
      await fleet.sql(`update fleet.agents set status = 'ALLOCATED', ${liveColumns}`)
      const changes = [`user_id = 'u2'`, 'user_slot = 2', `session_id = 's2'`, `host_id = 'h2'`, `id = 'x'`]
      for (const change of [...changes, `status = 'DYING', user_id = null`]) {
        expect(await refusalOf(fleet.sql(`update fleet.agents set ${change}`)), change).toBe(refused)
      }
    },
    without: [trigger('agents', 'guard'), piece('guard_agent', 'or new.host_id <> old.host_id')],
  },
  {
    holds: 'a host keeps its id, its region and what the database notes of it',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedRegion('local/other')
      await fleet.seedHosts(['h1'], { status: 'UNRESPONSIVE', status_before: 'ACTIVE' })
      for (const change of [`id = 'x'`, `region_id = 'local/other'`, `status_before = 'DRAINING'`]) {
        expect(await refusalOf(fleet.sql(`update fleet.hosts set ${change}`)), change).toBe(refused)
      }
    },
    without: [trigger('hosts', 'guard'), piece('guard_host', 'or new.region_id <> old.region_id')],
  },
  {
    holds: 'images are promoted and retired only, and never rewritten',
    check: async (fleet) => {
      await fleet.seedRegion()
      const statuses = ['CANDIDATE', 'ACTIVE', 'RETIRED']
      for (const was of statuses) {
        for (const becomes of statuses) {
          await fleet.sql(`delete from fleet.images`)
          await fleet.sql(
            `insert into fleet.images (id, region_id, image_id, version, status) values ('i', 'local/demo', 'x', 'v', $1)`,
            [was],
          )
          const refusal = await refusalOf(fleet.sql('update fleet.images set status = $1', [becomes]))
          const isLegal = statuses.indexOf(becomes) >= statuses.indexOf(was)
          expect(refusal, `${was} to ${becomes}`).toBe(isLegal ? undefined : refused)
        }
      }
      for (const change of [`image_id = 'y'`, `version = 'w'`, `id = 'j'`]) {
        expect(await refusalOf(fleet.sql(`update fleet.images set ${change}`)), change).toBe(refused)
      }
    },
    without: [trigger('images', 'guard')],
  },
  {
    holds: 'a region has one ACTIVE image',
    check: async (fleet) => {
      await fleet.seedRegion()
      const second = `insert into fleet.images (id, region_id, image_id, version, status)
        values ('second', 'local/demo', 'x', 'v2', $1)`
      expect(await refusalOf(fleet.sql(second, ['ACTIVE']))).toBe('23505')
      await fleet.sql(second, ['CANDIDATE'])
      expect(
        await refusalOf(fleet.sql(`update fleet.images set status = 'ACTIVE' where id = 'second'`)),
      ).toBe(refused)
      const client = await fleet.connect()
      await client.query('begin')
      await client.query(`update fleet.images set status = 'RETIRED' where id <> 'second'`)
      await client.query(`update fleet.images set status = 'ACTIVE' where id = 'second'`)
      await client.query('commit')
    },
    without: [
      index('images_one_active'),
      piece('guard_image', `if new.status = 'ACTIVE' and exists`, 'if false and exists'),
    ],
  },
  {
    holds: 'a region keeps its provider while it has hosts, whose machines only that one can find',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedHosts(['h1'])
      const move = () => refusalOf(fleet.sql(`update fleet.regions set provider = 'aws'`))
      expect(await move()).toBe(refused)
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING'`)
      expect(await move()).toBe(refused)
      await fleet.sql(`update fleet.hosts set status = 'TERMINATED'`)
      expect(await move()).toBe(undefined)
    },
    without: [trigger('regions', 'guard')],
  },
  {
    holds: 'decisions are append-only, but for the count of their repeats',
    check: async (fleet) => {
      await fleet.sql(`insert into fleet.decisions (id, region_id, turn, place, kind, reason)
        values ('d', 'local/demo', 1, 0, 'drain', 'because')`)
      await fleet.sql('update fleet.decisions set repeats = 2')
      for (const change of [
        `reason = 'x'`,
        `kind = 'x'`,
        'turn = 2',
        `inputs = '{"x":1}'`,
        'created_at = now()',
      ]) {
        expect(await refusalOf(fleet.sql(`update fleet.decisions set ${change}`)), change).toBe(refused)
      }
    },
    without: [trigger('decisions', 'guard')],
  },
  ...[
    [
      'hosts',
      `(id, region_id, provider, status) values ('h', 'local/demo', 'local', 'BROKEN')`,
      'hosts_status_check',
    ],
    [
      'images',
      `(region_id, image_id, version, status) values ('local/demo', 'i', 'v', 'BROKEN')`,
      'images_status_check',
    ],
    ['assignments', `(user_id, outcome) values ('u', 'BROKEN')`, 'assignments_outcome_check'],
    [
      'actions',
      `(id, decision_id, region_id, kind, status) values ('a', 'd', 'local/demo', 'x', 'BROKEN')`,
      'actions_status_check',
    ],
    ['regions', `(id, provider, min_hosts, max_hosts) values ('local/x', 'local', 2, 1)`, 'regions_check'],
  ].map(([table, row, name]) => ({
    holds: `${name!} holds`,
    check: async (fleet: FleetDatabase) => {
      await fleet.seedRegion()
      await refusesToInsert(fleet, table!, row!)
    },
    without: [constraint(table!, name!)],
  })),
  {
    holds: 'agents_status_check holds',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.seedHosts(['h1'])
      await refusesToInsert(
        fleet,
        'agents',
        `(id, host_id, region_id, status) values ('a', 'h1', 'local/demo', 'BROKEN')`,
      )
    },
    without: [constraint('agents', 'agents_status_check')],
  },
])
