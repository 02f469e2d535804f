import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import type { RowHint } from '../../../src/store/change-feed.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { anApi, asAdmin, bearer, hookSecret } from '../../support/an-api.ts'

const hook = { 'x-muster-hook-secret': hookSecret }
let fixture: ApiFixture
let app: FastifyInstance
let stop: () => Promise<void>
let hints: RowHint[]
let isHeard: boolean

beforeEach(async () => {
  hints = []
  isHeard = true
  fixture = anApi({ hint: (rows) => isHeard && hints.push(...rows) > 0 })
  fixture.fleet.region('fake/a')
  fixture.fleet.region('fake/b')
  ;({ app, stop } = await createApi(fixture.options))
})
afterEach(() => app.close())

/** As a Hasura v2 delivers it. */
function anEvent(changes: { id?: unknown; table?: unknown; event?: unknown } = {}) {
  return {
    created_at: '2026-11-20T07:14:21.601701Z',
    id: '85558393-c75d-4d2f-9c15-e80591b83894',
    trigger: { name: 'muster_hosts' },
    table: { schema: 'fleet', name: 'hosts' },
    event: {
      session_variables: { 'x-hasura-role': 'admin' },
      op: 'INSERT',
      data: { old: null, new: { id: 'h1' } },
      trace_context: { trace_id: '501c21c9b2c9c2b1', span_id: '0d2d0ad1c2f5c1a5' },
    },
    delivery_info: { max_retries: 0, current_retry: 0 },
    ...changes,
  }
}
const aRowEvent = (op: string, old: unknown, now: unknown, table = { schema: 'fleet', name: 'hosts' }) =>
  anEvent({ id: `${op} ${JSON.stringify([old, now, table])}`, table, event: { op, data: { old, new: now } } })

const aCronEvent = (changes: Record<string, unknown> = {}) => ({
  id: '3b1b2c9e-1',
  name: 'muster_tick',
  scheduled_time: '2026-11-20T07:15:00Z',
  payload: {},
  comment: 'wakes the regions',
  ...changes,
})

async function post(path: string, body: unknown, headers: Record<string, string> = hook) {
  const response = await app.inject({
    method: 'POST',
    url: `/v1/hooks/hasura/${path}`,
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: response.statusCode,
    body: response.json<{ outcome?: string; code?: string; detail?: string; errors?: string[] }>(),
    retryAfter: response.headers['retry-after'],
  }
}

describe('an event', () => {
  test.each([
    ['INSERT', null, { id: 'h1' }, ['h1']],
    ['UPDATE', { id: 'h1', status: 'ACTIVE' }, { id: 'h1', status: 'DRAINING' }, ['h1', 'h1']],
    ['DELETE', { id: 'h1' }, null, ['h1']],
    ['MANUAL', null, { id: 'h1', status: 'said by hand' }, ['h1']],
  ])('of %s names the row, whatever it says of it', async (op, old, now, ids) => {
    expect(await post('event', aRowEvent(op, old, now))).toMatchObject({
      status: 200,
      body: { outcome: 'taken' },
    })
    expect(hints).toEqual(ids.map((rowId) => ({ table: 'hosts', rowId })))
  })

  test.each(['regions', 'images', 'hosts', 'agents'])('of fleet.%s is taken', async (name) => {
    await post('event', aRowEvent('INSERT', null, { id: 'x' }, { schema: 'fleet', name }))
    expect(hints).toEqual([{ table: name, rowId: 'x' }])
  })

  test.each([
    [
      'of a table that is not followed',
      aRowEvent('INSERT', null, { id: 7 }, { schema: 'fleet', name: 'decisions' }),
    ],
    ['of another schema', aRowEvent('INSERT', null, { id: 'x' }, { schema: 'public', name: 'hosts' })],
    ['without rows', aRowEvent('MANUAL', null, null)],
    ['without data', anEvent({ event: { op: 'MANUAL', data: null } })],
  ])('%s is answered, and nothing is looked at', async (_what, body) => {
    expect(await post('event', body)).toMatchObject({ status: 200, body: { outcome: 'ignored' } })
    expect(hints).toEqual([])
  })

  test('that is delivered again is taken once', async () => {
    const outcomes = []
    for (let time = 0; time < 3; time += 1) outcomes.push((await post('event', anEvent())).body.outcome)
    expect(outcomes).toEqual(['taken', 'repeated', 'repeated'])
    expect(hints).toHaveLength(1)
  })

  test('that could not be taken is not known: its next delivery is taken', async () => {
    isHeard = false
    expect(await post('event', anEvent())).toMatchObject({
      status: 503,
      retryAfter: '10',
      body: { code: 'unavailable', detail: 'not ready: the database is not heard' },
    })
    isHeard = true
    expect((await post('event', anEvent())).body.outcome).toBe('taken')
  })

  test('that is malformed is refused with every fault', async () => {
    const { status, body } = await post('event', {
      id: 7,
      table: 'hosts',
      event: { op: 'UPSERT', data: { old: [], new: 'h1' } },
    })
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid-request' })
    expect(body.errors?.map((error) => error.split(':', 1)[0])).toEqual([
      'body.id',
      'body.table',
      'body.event.op',
      'body.event.data.old',
      'body.event.data.new',
    ])
  })

  test('of a followed table without the row’s id says what the trigger must send', async () => {
    const { status, body } = await post('event', aRowEvent('UPDATE', { id: '' }, { status: 'ACTIVE' }))
    expect(status).toBe(400)
    expect(body.errors?.map((error) => error.split(':', 1)[0])).toEqual([
      'body.event.data.old.id',
      'body.event.data.new.id',
    ])
    expect(hints).toEqual([])
  })

  test.each([
    ['no JSON', '{"id":', 400, 'invalid-request'],
    ['nothing', '', 400, 'invalid-request'],
    ['an array', '[]', 400, 'invalid-request'],
    ['a prototype', '{"__proto__":{"id":"x"}}', 400, 'invalid-request'],
    ['more than 1 MiB', JSON.stringify({ id: 'x'.repeat(1024 * 1024) }), 413, 'payload-too-large'],
  ])('that is %s is refused', async (_what, text, status, code) => {
    expect(await post('event', text)).toMatchObject({ status, body: { code } })
  })
})

describe('a cron event', () => {
  test('is a tick for every region', async () => {
    expect(await post('cron', aCronEvent())).toMatchObject({ status: 200, body: { outcome: 'taken' } })
    expect(fixture.fleet.wakes).toEqual(['fake/a tick', 'fake/b tick'])
  })

  test.each([
    ['the region of its payload', { region: 'fake/b' }, ['fake/b tick'], 'taken'],
    ['no region that is not there', { region: 'fake/z' }, [], 'ignored'],
    ['every region when its payload is null', null, ['fake/a tick', 'fake/b tick'], 'taken'],
  ])('wakes %s', async (_what, payload, wakes, outcome) => {
    expect((await post('cron', aCronEvent({ payload }))).body.outcome).toBe(outcome)
    expect(fixture.fleet.wakes).toEqual(wakes)
  })

  test('of a one-off schedule has no name', async () => {
    expect((await post('cron', aCronEvent({ name: undefined }))).body.outcome).toBe('taken')
  })

  test('that is delivered again is taken once', async () => {
    await post('cron', aCronEvent())
    expect((await post('cron', aCronEvent())).body.outcome).toBe('repeated')
    expect(fixture.fleet.wakes).toHaveLength(2)
  })

  test('that is malformed is refused with every fault', async () => {
    const { status, body } = await post('cron', { payload: { region: 7 }, name: [] })
    expect(status).toBe(400)
    expect(body.errors?.map((error) => error.split(':', 1)[0])).toEqual([
      'body.id',
      'body.name',
      'body.payload.region',
    ])
  })
})

describe.each(['event', 'cron'])('the %s webhook', (path) => {
  const body = { ...anEvent(), ...aCronEvent() }

  test.each([
    ['nothing', {}],
    ['an empty secret', { 'x-muster-hook-secret': '' }],
    ['part of the secret', { 'x-muster-hook-secret': hookSecret.slice(0, -1) }],
    ['more than the secret', { 'x-muster-hook-secret': `${hookSecret}x` }],
    ['the admin secret', asAdmin],
  ])('does not open to %s', async (_what, headers: Record<string, string>) => {
    expect(await post(path, body, headers)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect({ hints, wakes: fixture.fleet.wakes }).toEqual({ hints: [], wakes: [] })
  })

  test('does not open to an operator’s token, and the secret opens nothing else', async () => {
    expect((await post(path, body, await bearer({ role: 'operator' }))).status).toBe(401)
    expect((await app.inject({ url: '/v1/hosts', headers: hook })).statusCode).toBe(401)
  })

  test('opens to either of two secrets while one replaces the other', async () => {
    const next = 'the-next-hook-secret-of-32-characters'
    const { app: other } = await createApi({ ...fixture.options, hookSecrets: [hookSecret, next] })
    for (const secret of [hookSecret, next, 'a-third-hook-secret-of-32-characters']) {
      const { statusCode } = await other.inject({
        method: 'POST',
        url: `/v1/hooks/hasura/${path}`,
        headers: { 'x-muster-hook-secret': secret },
        payload: body,
      })
      expect(statusCode).toBe(secret.startsWith('a-third') ? 401 : 200)
    }
    await other.close()
  })

  test('is not there without a secret of its own', async () => {
    const { app: other } = await createApi({ ...fixture.options, hookSecrets: [] })
    const response = await other.inject({
      method: 'POST',
      url: `/v1/hooks/hasura/${path}`,
      headers: hook,
      payload: body,
    })
    expect(response.statusCode).toBe(404)
    expect(response.json()).toMatchObject({
      code: 'not-found',
      detail: 'there are no webhooks here: MUSTER_HOOK_SECRET is not set',
    })
    await other.close()
  })

  test.each(['lease: standby: another daemon is active', 'database: away'])(
    'is to be called again while not ready (%s)',
    async (cause) => {
      Object.assign(fixture.health, { ready: false, cause })
      expect(await post(path, body)).toMatchObject({
        status: 503,
        retryAfter: '10',
        body: { code: 'unavailable', detail: `not ready: ${cause}` },
      })
      expect({ hints, wakes: fixture.fleet.wakes }).toEqual({ hints: [], wakes: [] })
    },
  )

  test('is to be called again while the daemon stops', async () => {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const stopped = stop()
    expect(await post(path, body)).toMatchObject({
      status: 503,
      retryAfter: '1',
      body: { code: 'unavailable' },
    })
    await stopped
  })

  test('knows POST alone', async () => {
    const response = await app.inject({ url: `/v1/hooks/hasura/${path}`, headers: hook })
    expect([response.statusCode, response.headers['allow']]).toEqual([405, 'POST'])
  })
})
