import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import type { Mutation } from './defence.ts'
import { aPlan, blockedOrDone, call, claim, piece, proveDefences, trigger } from './defence.ts'

const region = 'local/demo'
const aHost = (id: string, place = 0) => ({
  id,
  place,
  image_id: `${region}/image`,
  version: 'v1',
  instance_type: '',
  capacity: 2,
  reason: 'more',
})
const decision = (place: number, kind: string, target: string | null = null, reason = 'because') => ({
  place,
  kind,
  target,
  reason,
})
const launchPlan = (...hosts: readonly string[]) =>
  aPlan({
    decisions: [decision(0, 'launch')],
    actions: [{ place: 0, kind: 'launch', target: null, params: { count: hosts.length } }],
    hosts: hosts.map((id) => aHost(id)),
  })
const drainPlan = (host: string, idle = true) =>
  aPlan({
    decisions: [decision(0, 'drain', host)],
    host_updates: [{ id: host, place: 0, from: ['ACTIVE'], to: 'DRAINING', reason: 'idle', idle }],
  })

async function seed(fleet: FleetDatabase, columns: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await fleet.seedRegion(region, columns)
  await fleet.takeLease()
}

function commit(fleet: FleetDatabase, turn: number, plan: unknown, fence = 1) {
  return call(fleet.pool, 'commit_turn', [region, turn, fence, plan])
}

async function countOf(fleet: FleetDatabase, table: string): Promise<number> {
  return (await fleet.sql(`select 1 from fleet.${table}`)).length
}

async function nothingIsStored(fleet: FleetDatabase): Promise<void> {
  for (const table of ['hosts', 'actions', 'decisions']) expect(await countOf(fleet, table), table).toBe(0)
}

const everyLeaseHeld: Mutation = piece('lease_is_held', 'return found', 'return true')

proveDefences('commit_turn: a turn is stored whole, once, inside its bounds', [
  {
    holds: 'decisions, actions and rows are stored together, their ids made of region, turn and place',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.sql('update fleet.regions set turn = 7')
      const [row] = await commit(fleet, 7, launchPlan('h1', 'h2'))
      expect(row).toMatchObject({ id: region, turn: 8 })
      const id = `${region}:7.0`
      expect(await fleet.sql('select id, kind, turn, place from fleet.decisions')).toEqual([
        { id, kind: 'launch', turn: 7, place: 0 },
      ])
      expect(await fleet.sql('select id, decision_id, status, attempts from fleet.actions')).toEqual([
        { id, decision_id: id, status: 'RUNNING', attempts: 1 },
      ])
      expect(await fleet.sql('select id, launch_id, status from fleet.hosts order by id')).toEqual([
        { id: 'h1', launch_id: id, status: 'LAUNCHING' },
        { id: 'h2', launch_id: id, status: 'LAUNCHING' },
      ])
    },
    without: [piece('commit_turn', 'set turn = r.turn + 1', 'set turn = r.turn')],
  },
  {
    holds: 'a turn that is not the next one stores nothing',
    check: async (fleet) => {
      await seed(fleet)
      expect(await commit(fleet, 1, launchPlan('h1'))).toEqual([])
      expect(await call(fleet.pool, 'commit_turn', ['local/none', 0, 1, launchPlan('h1')])).toEqual([])
      await nothingIsStored(fleet)
    },
    without: [piece('commit_turn', 'or region.turn <> commit_turn.turn')],
  },
  {
    holds: 'of two commits of one turn at once, one is stored',
    check: async (fleet) => {
      await seed(fleet)
      const [one, two] = [await fleet.connect(), await fleet.connect()]
      await one.query('begin')
      await call(one, 'commit_turn', [region, 0, 1, launchPlan('h1')])
      const second = call(two, 'commit_turn', [region, 0, 1, launchPlan('h2')])
      await blockedOrDone(fleet, two, second)
      await one.query('commit')
      expect(await second).toEqual([])
      expect(await fleet.sql('select id from fleet.hosts')).toEqual([{ id: 'h1' }])
    },
    without: [
      piece(
        'commit_turn',
        'where r.id = commit_turn.region_id for no key update',
        'where r.id = commit_turn.region_id',
      ),
    ],
  },
  {
    holds: 'without the lease nothing is stored',
    check: async (fleet) => {
      await seed(fleet)
      expect(await commit(fleet, 0, launchPlan('h1'), 2)).toEqual([])
      await fleet.sql('update fleet.leases set expires_at = now()')
      expect(await commit(fleet, 0, launchPlan('h1'), 1)).toEqual([])
      await nothingIsStored(fleet)
    },
    without: [everyLeaseHeld],
  },
  {
    holds:
      'max_hosts counts every host that may cost money; a surge passes it by max_surge_hosts and hosts that leave at most',
    check: async (fleet) => {
      await seed(fleet, { max_hosts: 3, max_surge_hosts: 1 })
      await fleet.seedHosts(['old1', 'old2'], { status: 'DRAINING', interruption_at: new Date() })
      await fleet.sql(`update fleet.hosts set status = 'TERMINATING' where id = 'old2'`)
      await fleet.seedHosts(['gone'], { status: 'TERMINATED' })
      expect(await commit(fleet, 0, launchPlan('h1', 'h2'))).toEqual([])
      expect(await commit(fleet, 0, { ...launchPlan('h1', 'h2', 'h3'), surge: 5 })).toEqual([])
      expect(await commit(fleet, 0, launchPlan('h1'))).toHaveLength(1)
      expect(await commit(fleet, 1, { ...launchPlan('h2'), surge: 5 })).toHaveLength(1)
      expect(await countOf(fleet, 'hosts')).toBe(5)
      await fleet.sql(`update fleet.regions set max_surge_hosts = 9`)
      expect(await commit(fleet, 2, { ...launchPlan('h3', 'h4'), surge: 5 })).toEqual([])
      expect(await commit(fleet, 2, launchPlan('h3'))).toEqual([])
      expect(await commit(fleet, 2, { ...launchPlan('h3'), surge: 5 })).toHaveLength(1)
    },
    without: [
      piece('commit_turn', 'or hosts_after > region.max_hosts', 'or 0 > region.max_hosts'),
      piece('commit_turn', `least(coalesce((plan ->> 'surge')::integer, 0), `, 'least('),
      piece('surge_allowed', 'least(region.max_surge_hosts, case', 'least(99, case'),
      piece('surge_allowed', 'fleet.leaving_hosts(region.id, surge_allowed.hosts)', 'region.max_surge_hosts'),
    ],
  },
  {
    holds: 'a disabled region launches nothing, but still drains',
    check: async (fleet) => {
      await seed(fleet, { enabled: false })
      await fleet.seedHosts(['old'])
      expect(await commit(fleet, 0, launchPlan('h1'))).toEqual([])
      expect(await commit(fleet, 0, drainPlan('old'))).toHaveLength(1)
      expect(await fleet.sql('select status from fleet.hosts')).toEqual([{ status: 'DRAINING' }])
    },
    without: [piece('commit_turn', 'if not region.enabled', 'if false')],
  },
  {
    holds:
      'a host or agent that moved meanwhile is left alone, its action is not stored, and the decision says so',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedHosts(['h1'], { status: 'DRAINING' })
      await fleet.seedHosts(['h2'])
      await fleet.seedAgents('h2', 1)
      await fleet.seedRegion('local/other')
      await fleet.seedHosts(['foreign'], { region_id: 'local/other' })
      const update = (id: string, place: number) => ({
        id,
        place,
        from: ['ACTIVE'],
        to: 'TERMINATING',
        reason: 'r',
      })
      const plan = aPlan({
        decisions: ['h1', 'foreign', 'nobody', 'h2-a1'].map((id, place) => decision(place, 'terminate', id)),
        actions: ['h1', 'foreign', 'nobody'].map((target, place) => ({
          place,
          kind: 'terminate',
          target,
          params: {},
        })),
        host_updates: ['h1', 'foreign', 'nobody'].map(update),
        agent_updates: [{ id: 'h2-a1', place: 3, from: ['ALLOCATED'], to: 'DYING' }],
      })
      expect(await commit(fleet, 0, plan)).toHaveLength(1)
      const rows = await fleet.sql('select id, status from fleet.hosts order by id')
      expect(rows).toEqual([
        { id: 'foreign', status: 'ACTIVE' },
        { id: 'h1', status: 'DRAINING' },
        { id: 'h2', status: 'ACTIVE' },
      ])
      expect(await fleet.sql('select status from fleet.agents')).toEqual([{ status: 'WAITING' }])
      expect(await countOf(fleet, 'actions')).toBe(0)
      const decisions = await fleet.sql('select kind, reason from fleet.decisions order by place')
      expect(decisions).toHaveLength(4)
      for (const { kind, reason } of decisions) {
        expect(kind).toBe('refuse')
        expect(reason).toContain('had changed by then')
      }
    },
    without: [
      piece('move_rows', `item -> 'from' ? h.status and`),
      piece('move_rows', `and h.region_id = region.id`),
      piece('move_rows', `and item -> 'from' ? a.status`),
      piece('commit_turn', 'where a.place <> all (busy_places)'),
    ],
  },
  {
    holds: 'an idle drain and a claim meet on the agent: the claim was first, the host stays',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedHosts(['h1'])
      await fleet.seedAgents('h1', 2)
      const [claimer, planner] = [await fleet.connect(), await fleet.connect()]
      await claimer.query('begin')
      await claim(claimer, { candidates: ['h1-a2'] })
      const turn = call(planner, 'commit_turn', [region, 0, 1, drainPlan('h1')])
      await blockedOrDone(fleet, planner, turn)
      await claimer.query('commit')
      await turn
      expect(await fleet.sql('select status from fleet.hosts')).toEqual([{ status: 'ACTIVE' }])
      expect(await fleet.sql('select kind from fleet.decisions')).toEqual([{ kind: 'refuse' }])
    },
    without: [
      piece('move_rows', `not coalesce((item ->> 'idle')::boolean, false) or`, 'true or'),
      piece('lock_turn', 'order by a.id for update', 'order by a.id'),
    ],
  },
  {
    holds: 'an idle drain and a claim meet on the agent: the drain was first, nobody gets it',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedHosts(['h1'])
      await fleet.seedAgents('h1', 1)
      const [claimer, planner] = [await fleet.connect(), await fleet.connect()]
      await planner.query('begin')
      await call(planner, 'commit_turn', [region, 0, 1, drainPlan('h1')])
      const answer = claim(claimer)
      await blockedOrDone(fleet, claimer, answer)
      await planner.query('commit')
      expect((await answer)['outcome']).toBe('no-capacity')
      expect(await fleet.sql('select status from fleet.agents')).toEqual([{ status: 'DYING' }])
    },
    without: [trigger('hosts', 'fence')],
  },
  {
    holds: 'an idle drain sees the agent that is being inserted and given away while it looks',
    check: async (fleet) => {
      await seed(fleet)
      await fleet.seedHosts(['h1'])
      const [busy, planner] = [await fleet.connect(), await fleet.connect()]
      await busy.query('begin')
      await busy.query(`insert into fleet.agents (id, host_id, region_id) values ('late', 'h1', '${region}')`)
      await claim(busy, { candidates: ['late'] })
      const turn = call(planner, 'commit_turn', [region, 0, 1, drainPlan('h1')])
      await blockedOrDone(fleet, planner, turn)
      await busy.query('commit')
      await turn
      expect(await fleet.sql('select status from fleet.hosts')).toEqual([{ status: 'ACTIVE' }])
    },
    without: [piece('lock_turn', 'order by h.id for update', 'order by h.id')],
  },
  {
    holds: 'a refusal that repeats is one row with a count, for each target, and costs no turn',
    check: async (fleet) => {
      await seed(fleet)
      const refusals = aPlan({
        causes: [{ kind: 'deadline' }],
        decisions: [
          decision(0, 'refuse', null, 'no image'),
          decision(1, 'refuse', null, 'blocked'),
          decision(2, 'report', 'h1'),
        ],
      })
      for (let time = 0; time < 4; time += 1) await commit(fleet, time === 0 ? 0 : 1, refusals)
      const counts = async () => fleet.sql('select reason, repeats from fleet.decisions order by turn, place')
      expect(await counts()).toEqual([
        { reason: 'no image', repeats: 4 },
        { reason: 'blocked', repeats: 4 },
        { reason: 'because', repeats: 4 },
      ])
      expect(await fleet.sql('select turn from fleet.regions')).toEqual([{ turn: 1 }])
      // Another reason is news, the first one too when it comes back; a plan of nothing is not.
      await commit(fleet, 1, aPlan({ decisions: [decision(0, 'refuse', null, 'still no image')] }))
      expect(await counts()).toHaveLength(4)
      await commit(fleet, 2, aPlan({ decisions: [decision(0, 'refuse', null, 'no image')] }))
      expect(await counts()).toHaveLength(5)
      expect(await commit(fleet, 3, aPlan())).toHaveLength(1)
      expect(await fleet.sql('select turn from fleet.regions')).toEqual([{ turn: 3 }])
    },
    without: [
      piece('commit_turn', 'if repeated is not null then', 'if false then'),
      piece('repeated_words', 'and d.turn = last_turn'),
    ],
  },
  {
    holds: 'a refusal that repeats beside a failed launch still counts the failure',
    check: async (fleet) => {
      await seed(fleet)
      const plan = aPlan({
        decisions: [decision(0, 'refuse')],
        launch_failed: { code: 'timeout', message: 'late' },
      })
      await commit(fleet, 0, plan)
      await commit(fleet, 1, plan)
      expect(await fleet.sql('select launch_failures, launch_error_code from fleet.regions')).toEqual([
        { launch_failures: 2, launch_error_code: 'timeout' },
      ])
    },
    without: [piece('repeated_words', `or jsonb_typeof(plan -> 'launch_failed') = 'object'`)],
  },
  {
    holds: 'failed launches hold back the next for 1 s, doubling to 5 min',
    check: async (fleet) => {
      await seed(fleet)
      const waits: number[] = []
      for (let failure = 0; failure < 11; failure += 1) {
        await fleet.sql(`select fleet.block_launches('${region}', 'quota-exceeded', 'full')`)
        const [row] = await fleet.sql(
          'select round(extract(epoch from launch_blocked_until - updated_at))::int as seconds from fleet.regions',
        )
        waits.push(row!['seconds'] as number)
      }
      expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    },
    without: [piece('block_launches', 'least(300,', 'least(3000,')],
  },
])
