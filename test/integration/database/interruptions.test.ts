import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { aPlan, call, claim, piece, proveDefences, refusalOf, refused, tally, trigger } from './defence.ts'

const region = 'local/demo'
const noon = '2026-11-21T12:00:00.000Z'
const earlier = '2026-11-21T11:59:00.000Z'
const later = '2026-11-21T12:01:00.000Z'

async function seed(fleet: FleetDatabase): Promise<void> {
  await fleet.seedRegion()
  await fleet.seedHosts(['h1'])
  await fleet.seedAgents('h1', 2)
  await fleet.takeLease()
  await claim(fleet.pool)
}

async function report(fleet: FleetDatabase, kind: string, at = noon, action = 'terminate', fence = 1) {
  return (await call(fleet.pool, 'report_interruption', ['h1', kind, at, action, fence]))[0]
}

const hostOf = async (fleet: FleetDatabase) =>
  (await fleet.sql(`select * from fleet.hosts where id = 'h1'`))[0]!
const agentsOf = async (fleet: FleetDatabase) =>
  tally((await fleet.sql('select status from fleet.agents')).map(({ status }) => status as string))

const fenced = `h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE')`

proveDefences('report_interruption: what a provider takes', [
  {
    holds: 'an interruption fences the host in its transaction: no free agent is left, and its session stays',
    check: async (fleet) => {
      await seed(fleet)
      expect(await agentsOf(fleet)).toEqual({ ALLOCATED: 1, WAITING: 1 })
      const host = await report(fleet, 'interruption')
      expect(host).toMatchObject({
        status: 'DRAINING',
        reason: 'its provider ends the machine at 2026-11-21T12:00:00Z (terminate)',
        interruption_at: new Date(noon),
      })
      expect(await agentsOf(fleet)).toEqual({ ALLOCATED: 1, DYING: 1 })
      expect(await claim(fleet.pool)).toMatchObject({ outcome: 'no-capacity' })
    },
    without: [piece('report_interruption', fenced, 'false'), trigger('hosts', 'fence')],
  },
  {
    holds: 'whatever it was, a host that is interrupted serves nobody new, and goes on leaving if it was',
    check: async (fleet) => {
      await fleet.seedRegion()
      await fleet.takeLease()
      const statuses = ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING', 'TERMINATING', 'TERMINATED']
      for (const status of statuses) await fleet.seedHosts([status], { status, reason: 'as before' })
      for (const before of ['PRE_CONNECTION', 'ACTIVE', 'DRAINING']) {
        const silent = { status: 'UNRESPONSIVE', status_before: before, reason: 'as before' }
        await fleet.seedHosts([`silent ${before}`], silent)
      }
      for (const { id } of await fleet.sql('select id from fleet.hosts')) {
        await call(fleet.pool, 'report_interruption', [id, 'interruption', noon, '', 1])
      }
      const rows = await fleet.sql('select id, status, reason, interruption_at from fleet.hosts')
      const found = rows.map(({ id, status, reason, interruption_at: at }) => {
        const isNamed = (reason as string).startsWith('its provider ends the machine at')
        return [
          id as string,
          `${String(status)}${isNamed ? ' by its provider' : ''}${at === null ? '' : ' at noon'}`,
        ]
      })
      expect(Object.fromEntries(found)).toEqual({
        LAUNCHING: 'DRAINING by its provider at noon',
        PRE_CONNECTION: 'DRAINING by its provider at noon',
        ACTIVE: 'DRAINING by its provider at noon',
        DRAINING: 'DRAINING at noon',
        TERMINATING: 'TERMINATING at noon',
        TERMINATED: 'TERMINATED',
        'silent PRE_CONNECTION': 'DRAINING by its provider at noon',
        'silent ACTIVE': 'DRAINING by its provider at noon',
        'silent DRAINING': 'DRAINING at noon',
      })
    },
    without: [
      piece(
        'report_interruption',
        `'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE'`,
        `'PRE_CONNECTION', 'ACTIVE'`,
      ),
      piece('report_interruption', `when h.status_before = 'DRAINING'`, 'when false'),
      piece('report_interruption', ` and h.status <> 'TERMINATED' for`, ' for'),
    ],
  },
  {
    holds: 'the earliest time stands, and what is told again changes nothing',
    check: async (fleet) => {
      await seed(fleet)
      await report(fleet, 'interruption')
      const revision = (await hostOf(fleet))['revision'] as number
      await report(fleet, 'interruption')
      await report(fleet, 'interruption', later)
      expect(await hostOf(fleet)).toMatchObject({ revision, interruption_at: new Date(noon) })
      await report(fleet, 'interruption', earlier)
      expect(await hostOf(fleet)).toMatchObject({ interruption_at: new Date(earlier), status: 'DRAINING' })
      await Promise.all(
        Array.from({ length: 12 }, (_, number) => report(fleet, 'interruption', number === 7 ? noon : later)),
      )
      expect(await hostOf(fleet)).toMatchObject({ interruption_at: new Date(earlier) })
    },
    without: [
      piece('report_interruption', 'or h.interruption_at > report_interruption.at', 'or true'),
      piece('report_interruption', 'or h.interruption_at > report_interruption.at', ''),
    ],
  },
  {
    holds: 'rebalance advice is noted once, and fences nobody',
    check: async (fleet) => {
      await seed(fleet)
      await report(fleet, 'rebalance')
      const revision = (await hostOf(fleet))['revision'] as number
      await report(fleet, 'rebalance', later)
      const expected = {
        revision,
        status: 'ACTIVE',
        rebalance_advised_at: new Date(noon),
        interruption_at: null,
      }
      expect(await hostOf(fleet)).toMatchObject(expected)
      expect(await agentsOf(fleet)).toEqual({ ALLOCATED: 1, WAITING: 1 })
    },
    without: [piece('report_interruption', ' and h.rebalance_advised_at is null', '')],
  },
  {
    holds: 'a daemon without the lease, and nonsense, are refused aloud',
    check: async (fleet) => {
      await seed(fleet)
      expect(await refusalOf(report(fleet, 'interruption', noon, '', 2))).toBe(refused)
      expect(await refusalOf(report(fleet, 'retirement'))).toBe(refused)
      expect(await hostOf(fleet)).toMatchObject({ status: 'ACTIVE', interruption_at: null })
    },
    without: [
      piece('report_interruption', 'perform fleet.demand_lease(report_interruption.fence);'),
      piece('report_interruption', `not in ('interruption', 'rebalance')`, 'is null'),
    ],
  },
])

const standIn = {
  id: 'h2',
  place: 0,
  image_id: `${region}/image`,
  version: 'v1',
  capacity: 2,
  replaces: 'h1',
}
const replacing = aPlan({
  decisions: [{ place: 0, kind: 'replace', target: 'h1', reason: 'advice' }],
  actions: [{ place: 0, kind: 'launch', target: null, params: { count: 1 } }],
  hosts: [standIn],
  surge: 1,
})

proveDefences('commit_turn: a host that its provider advised to leave', [
  {
    holds: 'may stand beside its replacement for as long as that one lives, and no other may',
    check: async (fleet) => {
      await fleet.seedRegion(region, { max_hosts: 1, max_surge_hosts: 5 })
      await fleet.seedHosts(['h1'])
      await fleet.takeLease()
      const commit = (turn: number, plan: object) => call(fleet.pool, 'commit_turn', [region, turn, 1, plan])
      expect(await commit(0, replacing)).toEqual([])
      await call(fleet.pool, 'report_interruption', ['h1', 'rebalance', noon, '', 1])
      expect(await commit(0, { ...replacing, hosts: [{ ...standIn, replaces: null }] })).toEqual([])
      expect(await commit(0, replacing)).toHaveLength(1)
      expect(await fleet.sql(`select replaces, status from fleet.hosts where id = 'h2'`)).toEqual([
        { replaces: 'h1', status: 'LAUNCHING' },
      ])
      expect(await commit(1, { ...replacing, hosts: [{ ...standIn, id: 'h3' }], surge: 2 })).toEqual([])
    },
    without: [
      piece('leaving_hosts', 'h.rebalance_advised_at is not null', 'true'),
      piece('leaving_hosts', `n ->> 'replaces' = h.id`, 'true'),
      piece('commit_turn', 'h.reason, h.replaces', 'h.reason, null'),
    ],
  },
])
