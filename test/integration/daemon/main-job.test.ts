/** What `make run` promises, on both data paths, through the doors that users have. */
import { readFile, readdir } from 'node:fs/promises'

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'

import type { AssignBody, Daemon } from '../../support/daemon.ts'
import { dataPaths, startDaemon, tokenOf } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'

describe.each(dataPaths)('on $name', ({ name, open }) => {
  let daemon: Daemon
  let database: Awaited<ReturnType<typeof open>>
  const isMissing = name === 'PostgreSQL' && inject('postgresUrl') === ''

  beforeAll(async () => {
    if (isMissing) return
    database = await open()
    daemon = await startDaemon(database.url === undefined ? {} : { databaseUrl: database.url })
  })
  afterAll(async () => {
    if (isMissing) return
    await daemon.dispose()
    await database.drop()
  })

  it.skipIf(isMissing)('keeps four free agents on two real hosts, whose ports answer', async () => {
    await daemon.untilFree(4)
    expect(await daemon.hosts()).toHaveLength(2)
    expect((await daemon.processes()).size).toBe(2)
    for (const agent of await daemon.free()) {
      const response = await fetch(`http://127.0.0.1:${agent.port}/`)
      expect(response.status).toBe(404)
      await response.text()
    }
    const [launch] = await daemon.decisions('region=local/demo&limit=100')
    expect(launch?.reason).toMatch(/agents? (are|is) to be free/)
  })

  it.skipIf(isMissing)('gives a user an agent with the session, and refills the buffer', async () => {
    await daemon.untilFree(4)
    const { status, body } = await daemon.assign('ann')
    expect(status).toBe(200)
    expect(body).toMatchObject({ region: 'local/demo', address: '127.0.0.1' })
    const answer = await fetch(`http://${body.address}:${body.port}/`)
    expect(await answer.json()).toEqual({
      agent_id: body.agent_id,
      session_id: body.session_id,
      user_id: 'ann',
    })
    await eventually(async () => (await agentOf(daemon, body.agent_id))?.status === 'RUNNING')
    await daemon.untilFree(4)

    const sessions = await daemon.fetch<{ sessions: unknown[] }>('/v1/sessions', {
      headers: { authorization: `Bearer ${await tokenOf('ann')}` },
    })
    expect(sessions.body.sessions).toHaveLength(1)
    expect((await daemon.assign('ann')).body.code).toBe('user-already-active')
    const release = await daemon.post('/v1/release', { user: 'ann', body: { session_id: body.session_id } })
    expect(release.status).toBeLessThan(300)
    await eventually(async () => (await agentOf(daemon, body.agent_id)) === undefined)
    expect(
      (await daemon.post('/v1/release', { user: 'ann', body: { session_id: body.session_id } })).status,
    ).toBe(404)
  })

  it.skipIf(isMissing)('records why a session failed, and nothing of one that ended', async () => {
    const [killed, ended, released] = await Promise.all(
      ['kay', 'eve', 'rob'].map(async (user) => {
        const seat = await daemon.seat(user, { waitMs: 20_000 })
        await fetch(`http://${seat.address}:${seat.port}/`)
        await eventually(async () => (await agentOf(daemon, seat.agent_id))?.status === 'RUNNING')
        return seat
      }),
    )
    process.kill(await pidOf(killed!.agent_id), 'SIGKILL')
    await fetch(`http://${ended!.address}:${ended!.port}/end`, { method: 'POST' })
    await daemon.post('/v1/release', { user: 'rob', body: { session_id: released!.session_id } })
    for (const { agent_id: id } of [killed!, ended!, released!]) {
      await eventually(async () => (await agentOf(daemon, id)) === undefined)
    }
    expect(await fateOf(daemon, killed!)).toEqual({ failure: 'killed by SIGKILL', has_ended: true })
    expect(await fateOf(daemon, ended!)).toEqual({ failure: null, has_ended: true })
    expect(await fateOf(daemon, released!)).toEqual({ failure: null, has_ended: true })
  })

  it.skipIf(isMissing)('answers the same for the same Idempotency-Key, also at once', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => daemon.assign('ben', { key: 'once' })))
    expect(new Set(answers.map(({ body }) => body.agent_id)).size).toBe(1)
    const [first] = answers
    expect((await daemon.assign('ben', { key: 'once' })).body).toEqual(first?.body)
    await daemon.post('/v1/release', { user: 'ben', body: { session_id: first?.body.session_id } })
  })

  it.skipIf(isMissing)(
    'drains a host by GraphQL: replaced, its session finishes, its process ends, the reason is on record',
    async () => {
      await daemon.untilFree(4)
      const seat = await daemon.seat('cat')
      await fetch(`http://${seat.address}:${seat.port}/`)
      await daemon.graphql(
        'mutation ($id: String!) { update_fleet_hosts_by_pk(pk_columns: {id: $id}, _set: {status: "DRAINING", reason: "kernel update"}) { id } }',
        { id: seat.host_id },
      )
      await eventually(async () => (await daemon.free()).length >= 4, {
        what: 'a replacement',
      })
      const still = (await daemon.hosts()).find((host) => host.id === seat.host_id)
      expect(still).toMatchObject({ status: 'DRAINING' })
      expect((await fetch(`http://${seat.address}:${seat.port}/`)).status).toBe(200)
      await fetch(`http://${seat.address}:${seat.port}/end`, { method: 'POST' })
      await untilEnded(daemon, seat.host_id)
      const decisions = await daemon.decisions(`target=${seat.host_id}&limit=100`)
      expect(decisions.find((decision) => decision.kind === 'terminate')?.reason).toMatch(/kernel update/)
      await eventually(async () => ![...(await daemon.processes()).keys()].includes(still?.cloud_id ?? ''))
    },
  )

  it.skipIf(isMissing || name === 'PGlite')('drains a host by plain SQL from outside', async () => {
    await daemon.untilFree(4)
    const [host] = await daemon.hosts()
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(`update fleet.hosts set status = 'DRAINING' where id = $1`, [host?.id])
    await client.end()
    await untilEnded(daemon, host?.id ?? '')
    await daemon.untilFree(4)
  })

  it.skipIf(isMissing)(
    'follows target_free_agents up and, on the tick, down; and obeys enabled',
    async () => {
      await daemon.setRegion({ target_free_agents: 6 })
      await daemon.untilFree(6)
      await daemon.setRegion({ target_free_agents: 2 })
      await daemon.untilFree(2)
      await daemon.setRegion({ enabled: false })
      await eventually(async () => (await daemon.assign('dan')).body.code === 'region-not-enabled')
      expect(await daemon.free()).toHaveLength(2)
      await daemon.setRegion({ enabled: true, target_free_agents: 4 })
      await daemon.untilFree(4)
    },
  )

  it.skipIf(isMissing)('waits for capacity first come first served, and counts those who wait', async () => {
    await daemon.setRegion({ target_free_agents: 0, min_hosts: 0 })
    await daemon.untilFree(0)
    const seat = await daemon.seat('eve', { waitMs: 20_000 })
    await daemon.post('/v1/release', { user: 'eve', body: { session_id: seat.session_id } })
    await daemon.setRegion({ target_free_agents: 4 })
    await daemon.untilFree(4)
  })

  it.skipIf(isMissing)(
    'shows its figures, and stops cleanly with hosts and sessions left running',
    async () => {
      const { body: regions } = await daemon.get<{ regions: Record<string, unknown>[] }>('/v1/regions')
      expect(regions.regions[0]).toMatchObject({ id: 'local/demo', free: 4, target: 4 })
      expect((await daemon.get<string>('/metrics')).body).toMatch(/muster_/)
      const seat = await daemon.seat('fay')
      await fetch(`http://${seat.address}:${seat.port}/`)
      await daemon.untilFree(4)
      const before = new Set((await daemon.processes()).keys())
      expect(await daemon.signal('SIGTERM')).toBe(0)
      expect(new Set((await daemon.processes()).keys())).toEqual(before)
      await daemon.start()
      expect((await fetch(`http://${seat.address}:${seat.port}/`)).status).toBe(200)
      await daemon.untilFree(4)
      expect(new Set((await daemon.processes()).keys())).toEqual(before)
    },
  )
})

async function agentOf(daemon: Daemon, id: string) {
  return (await daemon.hosts()).flatMap((host) => host.agents).find((agent) => agent.id === id)
}

async function untilEnded(daemon: Daemon, hostId: string): Promise<void> {
  await eventually(
    async () => {
      const { fleet_hosts_by_pk: host } = await daemon.graphql<{ fleet_hosts_by_pk: { status: string } }>(
        'query ($id: String!) { fleet_hosts_by_pk(id: $id) { status } }',
        { id: hostId },
      )
      return host.status === 'TERMINATED'
    },
    { everyMs: 50, what: `${hostId} is TERMINATED` },
  )
}

async function fateOf(daemon: Daemon, { session_id }: AssignBody) {
  const { fleet_assignments: rows } = await daemon.graphql<{
    fleet_assignments: readonly { failure: string | null; ended_at: string | null }[]
  }>(
    'query ($session: String!) { fleet_assignments(where: {session_id: {_eq: $session}}) { failure ended_at } }',
    { session: session_id },
  )
  return rows.map(({ failure, ended_at }) => ({ failure, has_ended: ended_at !== null }))[0]
}

async function pidOf(agentId: string): Promise<number> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.includes(`MUSTER_AGENT_ID=${agentId}`)) return Number(pid)
  }
  throw new Error(`no process of agent ${agentId}`)
}
