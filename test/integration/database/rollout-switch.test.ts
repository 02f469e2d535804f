import { expect } from 'vitest'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { blockedOrDone, both, call, claim, piece, proveDefences, tally } from './defence.ts'
import {
  clear,
  imagesOf,
  other,
  region,
  seedRegions,
  seedRollout,
  stateOf,
  turnOf,
  walk,
} from './rollout-seed.ts'

const switchGroup = (fleet: FleetDatabase, group = 'g', fence = 1) =>
  call(fleet.pool, 'switch_rollouts', [group, fence])

/** Two that are READY and cleared as long as their channels have v2; the second region's channel is `edge`. */
async function seedGroup(fleet: FleetDatabase, options = {}): Promise<readonly [string, string]> {
  await seedRegions(fleet)
  await fleet.sql(`update fleet.regions set channel = 'edge' where id = '${other}'`)
  await fleet.sql(`insert into fleet.versions (channel, version) values ('default', 'v2'), ('edge', 'v2')`)
  const one = await seedRollout(fleet, { state: 'READY', group: 'g', options })
  const two = await seedRollout(fleet, { state: 'READY', of: other, group: 'g', options })
  await clear(fleet, one, 'v2')
  await clear(fleet, two, 'v2')
  return [one, two]
}

const rollBack = (fleet: FleetDatabase, of: string, id: string) =>
  turnOf(fleet, of, { rollouts: [{ id, place: 0, from: 'READY', to: 'ROLLING_BACK', reason: 'bad' }] })

proveDefences('switch_rollouts: all of a group, or none', [
  {
    holds:
      'each member must be READY or in its canary, cleared, at work, wanted, with its version and its buffer',
    check: async (fleet) => {
      const [one, two] = await seedGroup(fleet)
      await fleet.seedHosts(['new'], { image_id: one, version: 'v2' })
      await fleet.seedAgents('new', 2)
      await fleet.seedHosts(['old'])
      await fleet.seedAgents('old', 9)
      const stays = async (why: string) => {
        expect(await switchGroup(fleet), why).toEqual([])
        expect([await stateOf(fleet, one), await stateOf(fleet, two)], why).toEqual(['READY', 'READY'])
        expect(await imagesOf(fleet), why).toBe('ACTIVE CANDIDATE')
      }
      const but = async (why: string, set: string, back: string) => {
        await fleet.sql(`update fleet.rollouts set ${set} where id = $1`, [one])
        await stays(why)
        await fleet.sql(`update fleet.rollouts set ${back} where id = $1`, [one])
      }
      await but('not cleared', 'is_cleared = false', 'is_cleared = true')
      await but('paused', 'paused = true', 'paused = false')
      await but('it goes back', `rollback_wanted = 'no'`, 'rollback_wanted = null')
      await but('its buffer lacks one', 'wanted_free = 3', 'wanted_free = 2')
      await fleet.sql(`update fleet.versions set version = 'v1' where channel = 'edge'`)
      await stays('its version is another again')
      await fleet.sql(`delete from fleet.versions where channel = 'edge'`)
      await stays('nobody says what its clients have')
      await fleet.sql(`insert into fleet.versions (channel, version) values ('edge', 'v2')`)
      expect(await switchGroup(fleet, 'g', 2)).toEqual([])
      expect(await switchGroup(fleet, 'nobody')).toEqual([])
      expect(await switchGroup(fleet)).toHaveLength(2)
      expect([await imagesOf(fleet), await imagesOf(fleet, other)]).toEqual([
        'RETIRED ACTIVE',
        'RETIRED ACTIVE',
      ])
      const decisions = await fleet.sql('select kind, target from fleet.decisions order by region_id')
      expect(decisions).toEqual([one, two].map((target) => ({ kind: 'rollout', target })))
      expect(await switchGroup(fleet)).toEqual([])
    },
    without: [
      both(
        piece('switch_rollouts', 'or not member.is_cleared'),
        piece('switch_rollouts', 'and not r.is_cleared', 'and false'),
      ),
      piece('switch_rollouts', 'or member.paused'),
      piece('switch_rollouts', 'or member.rollback_wanted is not null'),
      piece('switch_rollouts', `where h.image_id = member.to_image and`, 'where'),
      piece('switch_rollouts', 'and v.version = member.cleared_version'),
      piece('switch_rollouts', 'not fleet.lease_is_held(switch_rollouts.fence)', 'false'),
    ],
  },
  {
    holds:
      'one that is not READY yet, or that failed, holds all of them; where failures are left out, the others go on',
    check: async (fleet) => {
      const [one, two] = await seedGroup(fleet)
      await walk(fleet, two, ['ROLLING_BACK'])
      await fleet.sql('update fleet.rollouts set rollback_wanted = null')
      expect(await switchGroup(fleet)).toEqual([])
      await walk(fleet, two, ['ROLLED_BACK'])
      expect(await switchGroup(fleet)).toEqual([])
      const options = { on_member_failure: 'leave-out' }
      const three = await seedRollout(fleet, { group: 'h', options, state: 'READY', version: 'v3' })
      const four = await seedRollout(fleet, { of: other, group: 'h', options, version: 'v3' })
      await clear(fleet, three)
      await clear(fleet, four)
      expect(await switchGroup(fleet, 'h')).toEqual([])
      await walk(fleet, four, ['ROLLING_BACK'])
      expect(await switchGroup(fleet, 'h')).toHaveLength(1)
      expect([await stateOf(fleet, one), await stateOf(fleet, three), await stateOf(fleet, four)]).toEqual([
        'ROLLING_BACK',
        'SWITCHED',
        'ROLLING_BACK',
      ])
    },
    without: [
      piece('switch_rollouts', 'and not fleet.is_bound(member)'),
      piece('switch_rollouts', 'and not fleet.is_bound(member)', 'and false'),
      both(
        piece('switch_rollouts', `member.state not in ('READY', 'CANARY') or`),
        piece('switch_rollouts', `r.state = 'PREPARING' or`),
      ),
    ],
  },
  {
    holds: 'who joins a group that is switched follows it',
    check: async (fleet) => {
      const [one, two] = await seedGroup(fleet)
      await fleet.seedRegion('local/third')
      expect(await switchGroup(fleet)).toHaveLength(2)
      await walk(fleet, one, ['DRAINING', 'DONE'])
      const late = await seedRollout(fleet, { state: 'READY', of: 'local/third', group: 'g' })
      await clear(fleet, late)
      expect((await switchGroup(fleet)).map((row) => row['id'] as string)).toEqual([late])
      expect(await stateOf(fleet, two)).toBe('SWITCHED')
    },
    without: [
      piece(
        'switch_rollouts',
        `continue when member.state in ('SWITCHED', 'DRAINING', 'DONE')\n      or `,
        'continue when ',
      ),
    ],
  },
])

proveDefences('a switch meets others', [
  {
    holds: 'of many switches at once one is done, whole, while users claim',
    check: async (fleet) => {
      const [one] = await seedGroup(fleet)
      await fleet.seedHosts(['new'], { image_id: one, version: 'v2' })
      await fleet.seedHosts(['old'])
      for (const host of ['new', 'old']) await fleet.seedAgents(host, 10)
      const claims = Array.from({ length: 20 }, (_, number) =>
        claim(fleet.pool, number < 10 ? { image: one } : {}),
      )
      const switches = Array.from({ length: 8 }, () =>
        switchGroup(fleet).catch((error: unknown) => [{ error }]),
      )
      const answers = await Promise.all(switches)
      expect(tally(answers.map((rows) => rows.length))).toEqual({ 0: 7, 2: 1 })
      const given = (await Promise.all(claims)).map((row: Row) => row['outcome'] as string)
      expect(tally(given)).toEqual({ assigned: 20 })
      expect(await imagesOf(fleet)).toBe('RETIRED ACTIVE')
    },
    without: [piece('switch_rollouts', `and r.state in ('READY', 'CANARY') returning`, 'returning')],
  },
  {
    holds: 'who waits for another member waits for no turn of it, and holds up none',
    check: async (fleet) => {
      const [, two] = await seedGroup(fleet)
      await fleet.sql('update fleet.rollouts set is_cleared = false where id = $1', [two])
      const [turn, daemon] = [await fleet.connect(), await fleet.connect()]
      await turn.query(`begin; select 1 from fleet.regions where id = '${other}' for no key update`)
      const switched = call(daemon, 'switch_rollouts', ['g', 1])
      expect(await blockedOrDone(fleet, daemon, switched)).toBe('done')
      await turn.query('rollback')
      expect(await switched).toEqual([])
    },
    without: [piece('switch_rollouts', 'and not r.is_cleared', 'and false')],
  },
  {
    holds: 'a version that goes back while it looks: the change was first, and nothing is switched',
    check: async (fleet) => {
      await seedGroup(fleet)
      const [client, daemon] = [await fleet.connect(), await fleet.connect()]
      await client.query(`begin; update fleet.versions set version = 'v1' where channel = 'edge'`)
      const switched = call(daemon, 'switch_rollouts', ['g', 1])
      await blockedOrDone(fleet, daemon, switched)
      await client.query('commit')
      expect(await switched).toEqual([])
    },
    without: [piece('switch_rollouts', 'order by v.channel for share', '')],
  },
  {
    holds:
      'a roll-back was first, and nothing is switched; a switch was first, and the others hear of the roll-back',
    check: async (fleet) => {
      const [one, two] = await seedGroup(fleet)
      const [turn, daemon] = [await fleet.connect(), await fleet.connect()]
      await turn.query('begin')
      await turn.query(`select * from fleet.commit_turn('${region}', 0, 1, $1)`, [
        JSON.stringify({ rollouts: [{ id: one, place: 0, from: 'READY', to: 'ROLLING_BACK' }] }),
      ])
      const switched = call(daemon, 'switch_rollouts', ['g', 1]).catch((error: unknown) => [
        { error: String(error) },
      ])
      await blockedOrDone(fleet, daemon, switched)
      await turn.query('commit')
      expect(await switched).toEqual([])
      expect(await stateOf(fleet, two)).toBe('READY')
      expect(await imagesOf(fleet)).toBe('ACTIVE RETIRED')
    },
    without: [
      both(
        piece('switch_rollouts', 'order by g.id for no key update', ''),
        piece('switch_rollouts', 'order by i.id for no key update', ''),
        piece('switch_rollouts', 'order by r.id for no key update', ''),
      ),
    ],
  },
  {
    holds:
      'two members that are rolled back by the turns of their regions at once hear of each other without a deadlock',
    check: async (fleet) => {
      const [one, two] = await seedGroup(fleet)
      const answers = await Promise.all(
        [rollBack(fleet, region, one), rollBack(fleet, other, two)].map((turn) => turn.catch(String)),
      )
      expect(answers.map((rows) => rows.length)).toEqual([1, 1])
      expect([await stateOf(fleet, one), await stateOf(fleet, two)]).toEqual(['ROLLING_BACK', 'ROLLING_BACK'])
      const wishes = await fleet.sql('select count(rollback_wanted)::int as told from fleet.rollouts')
      expect(wishes).toEqual([{ told: 1 }])
    },
    without: [piece('follow_rollout', 'if fleet.is_bound(new) then', 'if false then')],
  },
])
