import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import { Tally } from '../../../src/lib/tally.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { aBlock } from '../../support/factories.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { anApi, asAdmin, bearer } from '../../support/an-api.ts'

let fixture: ApiFixture
let app: FastifyInstance
const errors: unknown[] = []

beforeEach(async () => {
  errors.length = 0
  const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
    error: (fields: unknown) => errors.push(fields),
  })
  fixture = anApi({ logger })
  fixture.fleet.region('fake/a')
  ;({ app } = await createApi(fixture.options))
})
afterEach(() => app.close())

const read = (url: string) => app.inject({ url, headers: asAdmin })

describe('hosts', () => {
  beforeEach(() => {
    fixture.fleet.free('a1', 'h1')
    fixture.fleet.free('a2', 'h1')
    fixture.fleet.host('h2', 'fake/a', 'TERMINATED')
    fixture.fleet.region('fake/b')
    fixture.fleet.host('h3', 'fake/b', 'DRAINING')
    fixture.fleet.host('h4', 'fake/b', 'TERMINATING')
  })
  const ids = async (query: string) =>
    (await read(`/v1/hosts${query}`)).json<{ hosts: { id: string }[] }>().hosts.map(({ id }) => id)

  test('are listed with their seats', async () => {
    expect((await read('/v1/hosts?region=fake/a')).json()).toMatchObject({
      hosts: [
        {
          id: 'h1',
          region: 'fake/a',
          status: 'ACTIVE',
          free: 2,
          live: 0,
          status_since: expect.any(String) as string,
        },
      ],
    })
    expect(await ids('')).toEqual(['h1', 'h3', 'h4'])
    expect(await ids('?all=true')).toEqual(['h1', 'h2', 'h3', 'h4'])
    expect(await ids('?status=TERMINATED')).toEqual(['h2'])
  })

  test('are shown one by one with their agents', async () => {
    const host = (await read('/v1/hosts/h1')).json<Record<string, unknown>>()
    expect(host).toMatchObject({
      id: 'h1',
      agents: [{ id: 'a1', status: 'WAITING', port: 4000 }, { id: 'a2' }],
    })
    expect(JSON.stringify(host)).not.toMatch(/hash|key|token/i)
    for (const id of ['h9', '..%2Fh1', '%00', 'x'.repeat(500)]) {
      expect((await read(`/v1/hosts/${id}`)).statusCode, id).toBe(404)
    }
  })

  test('are drained by an operator; a second time changes nothing', async () => {
    const drain = async (id: string) =>
      app.inject({
        method: 'POST',
        url: `/v1/hosts/${id}/drain`,
        headers: await bearer({ role: 'operator' }),
      })
    const first = await drain('h1')
    expect([first.statusCode, first.json()]).toEqual([
      202,
      expect.objectContaining({ id: 'h1', status: 'DRAINING' }),
    ])
    expect(fixture.fleet.wakes).toEqual(['fake/a api'])
    expect((await drain('h1')).statusCode).toBe(200)
    expect((await drain('h9')).json()).toMatchObject({ code: 'not-found' })
    const late = await drain('h4')
    expect([late.statusCode, late.json()]).toEqual([409, expect.objectContaining({ code: 'conflict' })])
    expect(fixture.fleet.wakes).toHaveLength(1)
  })

  test('are drained without a body, whatever its type is said to be', async () => {
    const headers = { ...asAdmin, 'content-type': 'application/json' }
    const response = await app.inject({ method: 'POST', url: '/v1/hosts/h1/drain', headers })
    expect(response.statusCode).toBe(202)
  })
})

test('regions show their figures, without a database', async () => {
  fixture.fleet.free('a1')
  fixture.fleet.databaseIsAway = true
  expect((await read('/v1/regions')).json()).toEqual({
    regions: [
      {
        id: 'fake/a',
        provider: 'fake',
        enabled: true,
        algorithm: 'default',
        free: 1,
        coming: 1,
        waiting: 0,
        live: 0,
        target: 4,
        min_hosts: 0,
        max_hosts: 10,
        hosts: expect.objectContaining({ ACTIVE: 1, DRAINING: 0 }) as object,
        image: { id: 'fake/a:v1', image_id: 'ami-2', version: 'v1' },
        serving: [{ id: 'fake/a:v1', image_id: 'ami-2', version: 'v1', status: 'ACTIVE', free: 1 }],
        rollout: null,
        agents_per_host: 2,
        agents_per_host_from: 'region',
        launch_obstacle: null,
        launch_blocked_until: null,
        launch_failures: 0,
        launch_error_code: null,
        launch_error: null,
        blocked_offerings: [],
      },
    ],
  })
})

test('regions say what keeps them from launching, what is blocked, and how many agents a host holds', async () => {
  const { fleet } = fixture
  fleet.region('fake/b')
  fleet.region('fake/c')
  Object.assign(fleet.regions.get('fake/b')!.region, {
    ...{ agentsPerHostGiven: null, agentsPerHostDiscovered: 3, agentsPerHost: 3, launchFailures: 1 },
    launchBlockedUntil: fleet.clock.now() + 60_000,
    ...{ launchErrorCode: 'insufficient-capacity', launchError: 'every offering is blocked' },
  })
  const blocks = [
    aBlock({ zone: 'b', until: fleet.clock.now() + 2_000 }),
    aBlock({ until: fleet.clock.now() + 1_000 }),
    aBlock({ zone: 'c', until: fleet.clock.now() }),
  ]
  fleet.blocks.set('fake/b', blocks)
  const unknown = { agentsPerHostGiven: null, launchErrorCode: 'invalid-request', launchError: 'no subnet' }
  Object.assign(fleet.regions.get('fake/c')!.region, unknown)
  const { regions } = (await read('/v1/regions')).json<{ regions: Record<string, unknown>[] }>()
  expect(regions[1]).toMatchObject({
    agents_per_host: 3,
    agents_per_host_from: 'provider',
    launch_obstacle:
      'launches are held back for now because insufficient-capacity: every offering is blocked',
    blocked_offerings: [{ zone: 'a' }, { zone: 'b' }],
  })
  expect((regions[1]!['blocked_offerings'] as unknown[])[0]).toEqual({
    ...{ instance_type: 'small', zone: 'a', lifecycle: 'on-demand' },
    ...{ code: 'insufficient-capacity', reason: 'none left' },
    until: new Date(fleet.clock.now() + 1_000).toISOString(),
  })
  expect(regions[2]).toMatchObject({
    agents_per_host: null,
    agents_per_host_from: null,
    launch_obstacle:
      'it is not known yet how many agents a host of the region holds: invalid-request: no subnet',
  })
  const { body } = await read('/metrics')
  expect(body).toContain('muster_offerings_blocked{region="fake/b"} 2')
  expect(body).toContain('muster_offerings_blocked{region="fake/a"} 0')
})

test('decisions are found by region and target, the newest first', async () => {
  const decision = {
    id: 'fake/a:1.0',
    regionId: 'fake/a',
    turn: 1,
    place: 0,
    causes: [{ kind: 'tick' }],
    kind: 'drain',
    target: 'h1',
    reason: 'idle',
    inputs: {},
    repeats: 1,
    createdAt: 0,
    updatedAt: 0,
  }
  fixture.decisions.push(decision, { ...decision, id: 'other', target: 'h2' })
  const { decisions } = (await read('/v1/decisions?region=fake/a&target=h1&limit=1')).json<{
    decisions: unknown[]
  }>()
  expect(decisions).toMatchObject([
    { id: 'fake/a:1.0', region: 'fake/a', kind: 'drain', created_at: '1970-01-01T00:00:00.000Z' },
  ])
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=1&limit=2', 'region=', 'what=else']) {
    const response = await read(`/v1/decisions?${query}`)
    expect([response.statusCode, response.json()], query).toEqual([
      400,
      expect.objectContaining({ code: 'invalid-request' }),
    ])
  }
})

test('sessions are one’s own: another’s is not found', async () => {
  fixture.fleet.free('a1')
  const as = async (sub: string) => ({ headers: await bearer({ sub }) })
  const payload = { regions: ['fake/a'], session_id: 's' }
  await app.inject({ method: 'POST', url: '/v1/assign', payload, ...(await as('alice')) })
  const sessions = async (user: string) =>
    (await app.inject({ url: '/v1/sessions', ...(await as(user)) })).json<unknown>()
  expect(await sessions('bob')).toEqual({ sessions: [] })
  expect(await sessions('alice')).toMatchObject({
    sessions: [{ session_id: 's', agent_id: 'a1', status: 'ALLOCATED' }],
  })
  const release = async (user: string) =>
    app.inject({ method: 'POST', url: '/v1/release', payload: { session_id: 's' }, ...(await as(user)) })
  expect((await release('bob')).json()).toMatchObject({ code: 'not-found', status: 404 })
  const released = await release('alice')
  expect([released.statusCode, released.json()]).toEqual([
    200,
    { session_id: 's', agent_id: 'a1', host_id: 'h1', region: 'fake/a' },
  ])
  expect((await release('alice')).statusCode).toBe(404)
})

test('the probes say whether the daemon lives and works', async () => {
  expect((await app.inject('/healthz')).json()).toEqual({ status: 'alive' })
  expect((await app.inject('/readyz')).json()).toEqual({ status: 'ready' })
  Object.assign(fixture.health, { ready: false, cause: 'database: away' })
  const response = await app.inject('/readyz')
  expect(response.statusCode).toBe(503)
  expect(response.json()).toMatchObject({ code: 'unavailable', cause: 'database: away' })
  expect((await app.inject('/healthz')).statusCode).toBe(200)
})

test('metrics count the calls of launches by outcome', async () => {
  const launches = new Tally<'region' | 'outcome'>()
  const { app: counting } = await createApi({ ...fixture.options, launches })
  const scrape = async () => (await counting.inject({ url: '/metrics', headers: asAdmin })).body
  launches.add({ region: 'fake/a', outcome: 'whole' })
  launches.add({ outcome: 'whole', region: 'fake/a' })
  launches.add({ region: 'fake/a', outcome: 'quota-exceeded' })
  for (const body of [await scrape(), await scrape()]) {
    expect(body).toContain('muster_launches_total{region="fake/a",outcome="whole"} 2')
    expect(body).toContain('muster_launches_total{region="fake/a",outcome="quota-exceeded"} 1')
  }
  await counting.close()
})

test('metrics show the figures of the regions', async () => {
  fixture.fleet.free('a1')
  const { body, headers } = await read('/metrics')
  expect(headers['content-type']).toContain('text/plain')
  for (const line of [
    'muster_ready 1',
    'muster_region_agents{region="fake/a",state="free"} 1',
    'muster_region_target_free_agents{region="fake/a"} 4',
    'muster_region_waiting_users{region="fake/a"} 0',
    'muster_region_hosts{region="fake/a",status="ACTIVE"} 1',
    'muster_region_launch_blocked{region="fake/a"} 0',
  ]) {
    expect(body).toContain(line)
  }
})

describe('what goes wrong', () => {
  test.each([
    ['/v1/nothing', 404, 'not-found'],
    ['/v1/regions/', 404, 'not-found'],
    ['/%zz', 400, 'invalid-request'],
    ['/v1/regions?x=1', 400, 'invalid-request'],
  ])('%s is a problem: %i %s', async (url, status, code) => {
    const response = await read(url)
    expect(response.statusCode).toBe(status)
    expect(response.headers['content-type']).toContain('application/problem+json')
    expect(response.json()).toMatchObject({ status, code, request_id: expect.any(String) as string })
  })

  test('inside is logged with the request’s id, and not told', async () => {
    fixture.fleet.latency = () => Promise.reject(new Error('password=hunter2 at line 7'))
    const response = await read('/v1/hosts')
    expect(response.statusCode).toBe(500)
    expect(response.json()).toMatchObject({ code: 'internal' })
    expect(response.body).not.toContain('hunter2')
    expect(errors).toEqual([
      {
        err: expect.any(Error) as Error,
        requestId: response.headers['x-request-id'],
        route: 'GET /v1/hosts',
      },
    ])
  })

  test('every answer bears the headers that browsers heed, and the caller’s request id', async () => {
    const { headers } = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'mine-1' } })
    expect(headers).toMatchObject({
      'x-request-id': 'mine-1',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    })
    const odd = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'no good {}' } })
    expect(odd.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  })
})
