import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { anApi, bearer } from '../../support/an-api.ts'

let fixture: ApiFixture
let app: FastifyInstance

beforeEach(async () => {
  fixture = anApi({ assignLimit: 3 })
  fixture.fleet.region('fake/a')
  ;({ app } = await createApi(fixture.options))
})
afterEach(() => app.close())

async function assign(payload: unknown, { user = 'alice', headers = {} } = {}) {
  return await app.inject({
    method: 'POST',
    url: '/v1/assign',
    headers: { 'content-type': 'application/json', ...(await bearer({ sub: user })), ...headers },
    payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
  })
}

test('an assigned user hears where the session is', async () => {
  fixture.fleet.free('a1')
  const response = await assign({ regions: ['fake/a'], session_id: 's', version: 'v1', wait_ms: 0 })
  expect(response.statusCode).toBe(200)
  expect(response.json()).toEqual({
    agent_id: 'a1',
    host_id: 'h1',
    region: 'fake/a',
    address: '127.0.0.1',
    port: 4000,
    session_id: 's',
  })
})

test('the same key gives the same answer again', async () => {
  for (const id of ['a1', 'a2']) fixture.fleet.free(id)
  const headers = { 'idempotency-key': 'k' }
  const first = await assign({ regions: ['fake/a'] }, { headers })
  const second = await assign({ regions: ['fake/a'] }, { headers })
  expect(second.json()).toEqual(first.json())
})

test.each([
  [{ regions: ['fake/a'] }, 503, 'no-capacity', '5'],
  [{ regions: ['fake/unknown'] }, 404, 'region-not-enabled', undefined],
])('%j is answered %i %s', async (body, status, code, retryAfter) => {
  const response = await assign(body)
  expect(response.statusCode).toBe(status)
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  expect(response.headers['retry-after']).toBe(retryAfter)
  expect(response.json()).toEqual({
    type: `urn:muster:error:${code}`,
    title: expect.any(String) as string,
    status,
    code,
    detail: expect.any(String) as string,
    request_id: response.headers['x-request-id'],
  })
})

test('who asks for a version that no region serves hears which they serve', async () => {
  fixture.fleet.region('fake/b', { version: 'v2' })
  fixture.fleet.region('fake/off', { version: 'v3', enabled: false })
  const response = await assign({ regions: ['fake/a', 'fake/b', 'fake/off'], version: 'v0' })
  expect(response.statusCode).toBe(409)
  expect(response.json()).toMatchObject({
    code: 'version-mismatch',
    detail: 'no region serves this version; served: v1, v2',
    served_versions: ['v1', 'v2'],
    served_in: { 'fake/a': ['v1'], 'fake/b': ['v2'] },
  })
})

test('a user who is active already is told so', async () => {
  for (const id of ['a1', 'a2']) fixture.fleet.free(id)
  await assign({ regions: ['fake/a'] })
  const response = await assign({ regions: ['fake/a'] })
  expect(response.statusCode).toBe(409)
  expect(response.json()).toMatchObject({ code: 'user-already-active' })
})

describe('unavailable', () => {
  test.each([
    [
      'the daemon is not ready',
      (): void => void Object.assign(fixture.health, { ready: false, cause: 'standby' }),
    ],
    ['the database is away', (): void => void (fixture.fleet.databaseIsAway = true)],
    ['another daemon is active', (): void => void (fixture.fleet.fence = undefined)],
  ])('while %s', async (_name, spoil) => {
    fixture.fleet.free('a1')
    spoil()
    const response = await assign({ regions: ['fake/a'] })
    expect(response.statusCode).toBe(503)
    expect(response.headers['retry-after']).toBe('1')
    expect(response.json()).toMatchObject({ code: 'unavailable' })
  })
})

describe('a request with faults', () => {
  test('is told all of them', async () => {
    const body = { regions: [], version: 7, session_id: 'a b', wait_ms: 25_001, regoin: 'x' }
    const response = await assign(body, { headers: { 'idempotency-key': 'k'.repeat(256) } })
    expect(response.statusCode).toBe(400)
    const { code, errors } = response.json<{ code: string; errors: string[] }>()
    expect(code).toBe('invalid-request')
    for (const fault of [
      'body.regions',
      'body.version',
      'body.session_id',
      'body.wait_ms',
      'regoin',
      'Idempotency-Key',
    ]) {
      expect(errors.join('\n')).toContain(fault)
    }
    expect(fixture.fleet.claims).toEqual([])
  })

  test.each([
    ['no body', '', 400, 'invalid-request'],
    ['no JSON', '{"regions":', 400, 'invalid-request'],
    ['a list', '[]', 400, 'invalid-request'],
    ['a prototype', '{"regions":["fake/a"],"__proto__":{"x":1}}', 400, 'invalid-request'],
    ['JSON of endless depth', '['.repeat(10_000) + ']'.repeat(10_000), 400, 'invalid-request'],
    ['a region twice', '{"regions":["fake/a","fake/a"]}', 400, 'invalid-request'],
    ['half a millisecond', '{"regions":["fake/a"],"wait_ms":0.5}', 400, 'invalid-request'],
    ['text that cannot be stored', '{"regions":["fake/a"],"version":"v\\u0000"}', 400, 'invalid-request'],
    ['half a character', '{"regions":["fake/\\ud800"]}', 400, 'invalid-request'],
    ['a huge body', JSON.stringify({ regions: ['x'.repeat(1024 * 1024)] }), 413, 'payload-too-large'],
  ])('%s', async (_name, payload, status, code) => {
    const response = await assign(payload)
    expect(response.statusCode).toBe(status)
    expect(response.json()).toMatchObject({ code, status })
  })

  test('that is no JSON by its type', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense']) {
      const response = await assign('regions=fake/a', { headers: { 'content-type': type } })
      expect(response.statusCode).toBe(415)
      expect(response.json()).toMatchObject({ code: 'unsupported-media-type' })
    }
  })
})

test('a user past the limit is told when to come back, and others are not bothered', async () => {
  for (let n = 0; n < 3; n++) await assign({ regions: ['fake/a'] })
  const claims = fixture.fleet.claims.length
  const limited = await assign({ regions: ['fake/a'] }, { headers: { 'x-forwarded-for': '203.0.113.9' } })
  expect(limited.statusCode).toBe(429)
  expect(limited.json()).toMatchObject({ code: 'rate-limited', status: 429 })
  expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0)
  expect(fixture.fleet.claims).toHaveLength(claims)
  expect((await assign({ regions: ['fake/a'] }, { user: 'bob' })).statusCode).toBe(503)
})

test('what happened to assigns is counted', async () => {
  fixture.fleet.free('a1')
  await assign({ regions: ['fake/a'] })
  await assign({ regions: ['fake/a'] }, { user: 'bob' })
  await assign({})
  const { body } = await app.inject({ url: '/metrics', headers: await bearer({ role: 'viewer' }) })
  for (const outcome of ['assigned', 'no-capacity', 'invalid-request']) {
    expect(body).toContain(`muster_assigns_total{outcome="${outcome}"} 1`)
    expect(body).toContain(`muster_assign_duration_seconds_count{outcome="${outcome}"} 1`)
  }
})
