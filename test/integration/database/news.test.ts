import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import type { Defence } from './defence.ts'
import { call, piece, proveDefences, trigger } from './defence.ts'

const tables = ['regions', 'images', 'hosts', 'agents'] as const

async function seed(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion()
  await fleet.seedHosts(['h1'])
  await fleet.seedAgents('h1', 1)
}

async function revisionOf(fleet: FleetDatabase, table: string): Promise<number> {
  return (await fleet.sql(`select revision from fleet.${table}`))[0]!['revision'] as number
}

async function newsOf(fleet: FleetDatabase, work: () => Promise<unknown>): Promise<readonly unknown[]> {
  const [last] = await fleet.sql('select coalesce(max(sequence), 0) as sequence from fleet.changes')
  await work()
  return fleet.sql(
    'select table_name, row_id, region_id from fleet.changes where sequence > $1 order by sequence',
    [last!['sequence']],
  )
}

const harmless = {
  regions: 'target_free_agents = target_free_agents + 1',
  images: 'created_at = now()',
  hosts: 'protected = not protected',
  agents: `app = app || 'x'`,
}

proveDefences('a mirror can be kept by revisions and the outbox', [
  ...tables.map((table): Defence => ({
    holds: `each update of ${table} raises the revision by one, whatever the writer says`,
    check: async (fleet) => {
      await seed(fleet)
      const before = await revisionOf(fleet, table)
      await fleet.sql(`update fleet.${table} set ${harmless[table]}`)
      await fleet.sql(`update fleet.${table} set ${harmless[table]}, revision = 1`)
      expect(await revisionOf(fleet, table)).toBe(before + 2)
    },
    without: [trigger(table, 'guard')],
  })),
  ...tables.map((table): Defence => ({
    holds: `each insert, update and delete of ${table} is news, in the same transaction`,
    check: async (fleet) => {
      await seed(fleet)
      const [last] = await fleet.sql(`select id from fleet.${table}`)
      const news = [{ table_name: table, row_id: last!['id'] as string, region_id: 'local/demo' }]
      const born = await fleet.sql(
        'select table_name, row_id, region_id from fleet.changes where table_name = $1',
        [table],
      )
      expect(born).toEqual(news)
      expect(await newsOf(fleet, () => fleet.sql(`update fleet.${table} set ${harmless[table]}`))).toEqual(
        news,
      )
      const remove = async () => {
        if (table === 'regions' || table === 'images') await fleet.sql('delete from fleet.hosts')
        if (table === 'regions') await fleet.sql('delete from fleet.images')
        await fleet.sql(`delete from fleet.${table}`)
      }
      expect(await newsOf(fleet, remove)).toContainEqual(news[0])
    },
    without: [trigger(table, 'note_change')],
  })),
  {
    holds: 'an agent that ends with its host is news too',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING'`)
      const news = await newsOf(fleet, () => fleet.sql(`update fleet.hosts set status = 'TERMINATED'`))
      expect(news).toContainEqual({ table_name: 'agents', row_id: 'h1-a1', region_id: 'local/demo' })
    },
    without: [trigger('agents', 'note_change')],
  },
  {
    holds: 'a flush of heartbeats is no news and no revision, and never goes back',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.takeLease()
      const before = await revisionOf(fleet, 'hosts')
      const flush = (time: string) => call(fleet.pool, 'flush_heartbeats', [{ h1: time, nobody: time }, 1])
      expect(await newsOf(fleet, () => flush('2026-11-21T12:00:00Z'))).toEqual([])
      await flush('2026-11-21T11:00:00Z')
      const [row] = await fleet.sql('select heartbeat_at, revision from fleet.hosts')
      expect(row).toEqual({ heartbeat_at: new Date('2026-11-21T12:00:00Z'), revision: before })
    },
    without: [
      piece('guard_host', 'if same is not distinct from old', 'if false'),
      piece('flush_heartbeats', 'or h.heartbeat_at < b.value::timestamptz', 'or true'),
    ],
  },
  {
    holds: 'the counting of turns is no news',
    check: async (fleet) => {
      await seed(fleet)
      expect(await newsOf(fleet, () => fleet.sql('update fleet.regions set turn = turn + 1'))).toEqual([])
    },
    without: [piece('note_region_change', 'same.turn := old.turn;')],
  },
  {
    holds: 'a region that is made anew does not use the ids of its earlier decisions again',
    check: async (fleet) => {
      await fleet.sql(`insert into fleet.decisions (id, region_id, turn, place, kind, reason)
        values ('local/demo:41.0', 'local/demo', 41, 0, 'drain', 'because')`)
      await fleet.seedRegion()
      expect((await fleet.sql('select turn from fleet.regions'))[0]).toEqual({ turn: 42 })
    },
    without: [trigger('regions', 'guard')],
  },
])
