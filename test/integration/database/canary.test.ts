import { expect } from 'vitest'

import { call, claim, piece, proveDefences } from './defence.ts'
import { region, seedRegions, seedRollout, turnOf } from './rollout-seed.ts'

proveDefences('what a canary counts', [
  {
    holds: 'a failure stays with the image that it was on, whoever serves the request in the end',
    check: async (fleet) => {
      await seedRegions(fleet)
      const id = await seedRollout(fleet, { state: 'CANARY' })
      await fleet.seedHosts(['new'], { image_id: id, version: 'v2' })
      await fleet.seedHosts(['old'])
      for (const host of ['new', 'old']) await fleet.seedAgents(host, 3)
      const counts = async () =>
        fleet.sql(
          `select arm, failure, image_id = '${id}' as "isNew", running_at is not null as ran from fleet.assignments order by user_id`,
        )
      const canary = (arm: string) => ({ rollout_id: id, arm })
      const first = await claim(fleet.pool, { user: 'u1', key: 'k', image: id, ...canary('candidate') })
      await call(fleet.pool, 'give_up_agent', [first['id'], first['agent_id'], 1, 'not taken'])
      const second = await claim(fleet.pool, { user: 'u1', key: 'k', ...canary('fallback') })
      expect(second).toMatchObject({ outcome: 'assigned', arm: 'candidate', failure: 'not taken' })
      await fleet.sql(
        `update fleet.agents set status = 'RUNNING' where user_id = 'u1' and status = 'ALLOCATED'`,
      )
      expect(await counts()).toEqual([{ arm: 'candidate', failure: 'not taken', isNew: false, ran: true }])
      // The old image's failures count no less, or equal images would not look alike; a client that hung up is nobody's.
      const third = await claim(fleet.pool, { user: 'u2', key: 'k', ...canary('control') })
      await call(fleet.pool, 'give_up_agent', [third['id'], third['agent_id'], 1, 'not taken'])
      await claim(fleet.pool, { user: 'u2', key: 'k', image: id, ...canary('candidate') })
      const fourth = await claim(fleet.pool, { user: 'u3', key: 'k', image: id, ...canary('candidate') })
      await call(fleet.pool, 'give_up_agent', [fourth['id'], fourth['agent_id'], 1, null])
      await claim(fleet.pool, { user: 'u3', key: 'k', ...canary('fallback') })
      expect((await counts()).slice(1)).toEqual([
        { arm: 'control', failure: 'not taken', isNew: true, ran: false },
        { arm: 'fallback', failure: null, isNew: false, ran: false },
      ])
    },
    without: [
      piece(
        'claim_agent',
        `if answer.failure is null or coalesce(answer.arm, 'fallback') = 'fallback' then`,
        'if true then',
      ),
      piece(
        'claim_agent',
        `if answer.failure is null or coalesce(answer.arm, 'fallback') = 'fallback' then`,
        `if answer.failure is null or answer.arm is distinct from 'candidate' then`,
      ),
      piece('give_up_agent', 'coalesce(s.failure, give_up_agent.failure)', 's.failure'),
    ],
  },
  {
    holds:
      'a session fails by the word of its manager, late too, or with its host; not by its end, nor when the provider takes the machine',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.seedHosts(['h1', 'lost', 'taken'])
      await fleet.seedAgents('h1', 4)
      for (const host of ['lost', 'taken']) await fleet.seedAgents(host, 1)
      for (const agent of ['h1-a1', 'h1-a2', 'h1-a3', 'h1-a4', 'lost-a1', 'taken-a1']) {
        await claim(fleet.pool, { user: agent, candidates: [agent] })
      }
      const report = (reports: readonly object[]) =>
        call(fleet.pool, 'report_agents', ['h1', JSON.stringify(reports), false, 1])
      await report([
        { id: 'h1-a1', status: 'DYING', failure: 'exit code 1' },
        { id: 'h1-a2', status: 'DYING' },
        { id: 'h1-a3', status: 'RUNNING', gone: true, failure: 'killed' },
        { id: 'h1-a4', status: 'DYING', gone: true },
      ])
      await report([
        { id: 'h1-a2', status: 'DYING', gone: true, failure: 'late' },
        { id: 'h1-a1', status: 'DYING', gone: true, failure: 'another' },
      ])
      await fleet.sql(`update fleet.hosts set interruption_at = now() where id = 'taken'`)
      for (const host of ['lost', 'taken']) await call(fleet.pool, 'end_host', [host, 1, 'gone'])
      const rows = await fleet.sql(
        'select agent_id, failure, ended_at is not null as ended from fleet.assignments order by agent_id',
      )
      expect(rows).toEqual([
        { agent_id: 'h1-a1', failure: 'exit code 1', ended: true },
        { agent_id: 'h1-a2', failure: 'late', ended: true },
        { agent_id: 'h1-a3', failure: 'killed', ended: true },
        { agent_id: 'h1-a4', failure: null, ended: true },
        { agent_id: 'lost-a1', failure: 'host-lost', ended: true },
        { agent_id: 'taken-a1', failure: null, ended: true },
      ])
    },
    without: [
      piece('note_session', 'and h.interruption_at is null'),
      piece('note_session', `why := 'host-lost';`, 'null;'),
      piece('note_session', 'or (failure is null and why is not null)'),
    ],
  },
  {
    holds: 'what a turn says of an agent whose time is over is its failure',
    check: async (fleet) => {
      await seedRegions(fleet)
      await fleet.seedHosts(['h1'])
      await fleet.seedAgents('h1', 1)
      await claim(fleet.pool)
      await turnOf(fleet, region, {
        agent_updates: [{ id: 'h1-a1', place: 0, from: ['ALLOCATED'], to: 'DYING', failure: 'never taken' }],
      })
      expect(await fleet.sql('select failure from fleet.assignments')).toEqual([{ failure: 'never taken' }])
    },
    without: [piece('move_rows', `, failure = coalesce(a.failure, item ->> 'failure')`)],
  },
])
