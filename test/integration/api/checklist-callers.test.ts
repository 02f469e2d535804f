/** The checklist of HTTP risks, over real sockets: who asks, for what, and how often. docs/security.md names the defences. */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHmac } from 'node:crypto'

import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import type { ApiOptions, RunningApi } from '../../../src/api/server.ts'
import { startApi } from '../../../src/api/server.ts'
import { TokenVerifier } from '../../../src/api/tokens.ts'
import { createKeySet } from '../../../src/lib/key-set.ts'
import type { MusterError } from '../../../src/model/errors.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { adminSecret, aToken, anApi, asAdmin, bearer, hookSecret, jwtSecret } from '../../support/an-api.ts'
import { apiRoutes, urlOf } from '../../support/api-routes.ts'
import type { PeerCall } from '../../support/http-peer.ts'
import { ask } from '../../support/http-peer.ts'
import { TestClock } from '../../support/test-clock.ts'

let fixture: ApiFixture
let api: RunningApi

async function start(overrides: Partial<ApiOptions> = {}): Promise<void> {
  fixture = anApi(overrides)
  fixture.fleet.region('fake/a')
  api = await startApi(fixture.options)
}
const call = (given: PeerCall) => ask(api.port, given)
const statusOf = async (given: PeerCall) => (await call(given)).status
const sessions = (token: string) =>
  call({ path: '/v1/sessions', headers: { authorization: `Bearer ${token}` } })
afterEach(() => api.stop())

const seconds = () => Math.floor(Date.now() / 1000)
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const forged = (header: object, claims: object, secret: string) => {
  const content = `${encoded(header)}.${encoded(claims)}`
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`
}

describe('with a key set', () => {
  let keys: Awaited<ReturnType<typeof generateKeyPair>>
  let server: Server
  let fetches = 0
  let answer: { status: number; headers?: Record<string, string>; body: string } | undefined
  let keySetUrl = ''
  beforeAll(async () => {
    keys = await generateKeyPair('RS256', { extractable: true })
    server = createServer((_request, response) => {
      fetches += 1
      if (answer === undefined) return
      response.writeHead(answer.status, answer.headers)
      response.end(answer.body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    keySetUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  })
  afterAll(() => {
    server.close()
    server.closeAllConnections()
  })
  beforeEach(async () => {
    fetches = 0
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'RS256' }
    answer = { status: 200, body: JSON.stringify({ keys: [jwk] }) }
    await start({ jwt: { jwksUrl: keySetUrl, issuer: 'https://idp', audience: 'muster' } })
  })
  afterEach(() => vi.useRealTimers())

  const claims = (changes: object = {}) => ({
    ...{ sub: 'alice', iss: 'https://idp', aud: 'muster', iat: seconds(), exp: seconds() + 60 },
    ...changes,
  })
  const signed = (header: object = {}, changes: object = {}) =>
    new SignJWT(claims(changes))
      .setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header })
      .sign(keys.privateKey, { crit: { x: true } })

  test('JWT alg confusion: the public key is no shared secret, and the token does not choose how it is checked', async () => {
    expect((await sessions(await signed())).status).toBe(200)
    const pem = await exportSPKI(keys.publicKey)
    for (const token of [
      forged({ alg: 'HS256', kid: 'k1' }, claims(), pem),
      forged({ alg: 'HS256', kid: 'k1' }, claims(), pem.trim()),
      `${encoded({ alg: 'none', kid: 'k1' })}.${encoded(claims())}.`,
      `${encoded({ alg: 'None' })}.${encoded(claims())}.`,
      (await signed()).replace(/[^.]+$/, ''),
    ]) {
      expect((await sessions(token)).status).toBe(401)
    }
  })

  test('JWT claims: none, expired, future, another audience, an issuer with a suffix, crit, an own key: all refused with the same words', async () => {
    const own = await generateKeyPair('RS256', { extractable: true })
    const jwk = await exportJWK(own.publicKey)
    const words = new Set<string>()
    for (const token of [
      await signed({}, { exp: undefined }),
      await signed({}, { sub: undefined }),
      await signed({}, { iat: undefined }),
      await signed({}, { exp: seconds() - 31 }),
      await signed({}, { nbf: seconds() + 60 }),
      await signed({}, { iat: seconds() + 60 }),
      await signed({}, { iat: seconds() - 86_431 }),
      await signed({}, { aud: 'another' }),
      await signed({}, { iss: 'https://idp.evil' }),
      await signed({ crit: ['x'], x: 1 }),
      await new SignJWT(claims()).setProtectedHeader({ alg: 'RS256', jwk }).sign(own.privateKey),
      await new SignJWT(claims())
        .setProtectedHeader({ alg: 'RS256', kid: 'k1', jku: `${keySetUrl}/theirs` })
        .sign(own.privateKey),
    ]) {
      const { status, text, headers } = await sessions(token)
      expect(status).toBe(401)
      words.add(text.replace(String(headers['x-request-id']), ''))
    }
    expect(words.size).toBe(1)
    // Clocks differ.
    expect((await sessions(await signed({}, { exp: seconds() - 20 }))).status).toBe(200)
  })

  test('JWKS: a thousand unknown kids cost one fetch in each cooldown', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const verifier = new TokenVerifier({ jwksUrl: keySetUrl }, systemClock)
    const all = async () => {
      const before = fetches
      const outcomes = await Promise.allSettled(
        Array.from({ length: 1_000 }, (_, n) =>
          verifier.verify(
            `${encoded({ alg: 'RS256', kid: `u${n}` })}.${encoded(claims())}.${'A'.repeat(342)}`,
          ),
        ),
      )
      const reasons = outcomes.map((one) => one.status === 'rejected' && (one.reason as MusterError).code)
      return { reasons: [...new Set(reasons)], fetches: fetches - before }
    }
    expect(await all()).toEqual({ reasons: ['unauthorized'], fetches: 1 })
    expect(await all()).toEqual({ reasons: ['unauthorized'], fetches: 0 })
    vi.setSystemTime(Date.now() + 30_001)
    expect(await all()).toEqual({ reasons: ['unauthorized'], fetches: 1 })
  })

  test.each([
    ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: '' }],
    ['more than 256 KiB', { status: 200, body: JSON.stringify({ keys: [], more: 'x'.repeat(300_000) }) }],
    ['no keys', { status: 200, body: '{}' }],
    ['no JSON', { status: 200, body: '<html>' }],
    ['an error', { status: 500, body: '' }],
  ])(
    'JWKS, SSRF: %s is no key set: nobody is let in, and it is not asked for again at once',
    async (_what, given) => {
      answer = given
      for (let n = 0; n < 5; n += 1) {
        const { status, json } = await sessions(await signed())
        expect([status, json['code']]).toEqual([503, 'unavailable'])
      }
      expect(fetches).toBe(1)
    },
  )

  test('JWKS: an answer that does not come is not waited for', async () => {
    answer = undefined
    const keysOf = createKeySet(keySetUrl, systemClock, 50)
    const startedAt = performance.now()
    const asked = Promise.resolve(keysOf({ alg: 'RS256' }, { payload: '', signature: '' }))
    await expect(asked).rejects.toThrow('fetched')
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })
})

test('Hasura claims: who asks is what a verified token says, never what a header says', async () => {
  await start()
  const spoofed = {
    ...{ 'x-hasura-role': 'operator', 'x-hasura-user-id': 'bob', 'x-hasura-admin-secret': adminSecret },
    ...{ 'x-hasura-allowed-roles': 'operator', 'x-muster-user': 'bob', 'x-forwarded-user': 'bob' },
  }
  fixture.fleet.free('a1')
  const mine = { ...spoofed, ...(await bearer({ 'x-hasura-role': 'operator' })) }
  for (const { method, path, access, body } of apiRoutes) {
    if (access === 'open') continue
    const at = { method, path: urlOf({ path }), body }
    expect(await statusOf({ ...at, headers: spoofed }), path).toBe(401)
    if (access === 'read' || access === 'operate') {
      expect(await statusOf({ ...at, headers: mine }), path).toBe(403)
    }
    if (access === 'user') await call({ ...at, headers: mine })
  }
  expect(fixture.fleet.claims.map(({ request }) => request.userId)).toEqual(['alice'])
})

test('admin secret: one of the two is needed, whole, once, and the refusal says nothing', async () => {
  const previous = 'the-secret-that-was-before-this-one'
  await start({ previousAdminSecret: previous })
  const words = new Set<string>()
  for (const given of [
    ...[
      '',
      'x',
      adminSecret.slice(0, -1),
      `${adminSecret}x`,
      adminSecret.toUpperCase(),
      `${adminSecret},${previous}`,
    ],
    ...[
      [adminSecret, adminSecret],
      [adminSecret, 'x'],
      ['', adminSecret],
      'x'.repeat(8_000),
      `\u00e9${adminSecret}`,
    ],
  ]) {
    const { status, text, headers } = await call({
      path: '/v1/hosts',
      headers: { 'x-muster-admin-secret': given },
    })
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer'])
    words.add(text.replace(String(headers['x-request-id']), ''))
  }
  expect(words.size).toBe(1)
  for (const given of [adminSecret, previous]) {
    expect(await statusOf({ path: '/v1/hosts', headers: { 'x-muster-admin-secret': given } })).toBe(200)
  }
})

describe('Hasura event webhook', () => {
  const path = '/v1/hooks/hasura/event'
  const { body } = apiRoutes.find((route) => route.path === path)!
  const headers = { 'x-muster-hook-secret': hookSecret }

  test('opens to its own secret alone, wants the id of the event, and a replay has no second effect', async () => {
    const hints: unknown[] = []
    await start({ hint: (rows) => hints.push(...rows) > 0 })
    for (const wrong of [
      {},
      asAdmin,
      await bearer({ role: 'operator' }),
      { 'x-muster-hook-secret': [hookSecret, ''] },
    ]) {
      expect(await statusOf({ method: 'POST', path, body, headers: wrong })).toBe(401)
    }
    const { id: _, ...anonymous } = body as { id: string }
    expect(await statusOf({ method: 'POST', path, body: anonymous, headers })).toBe(400)
    expect(hints).toEqual([])
    const outcomes = await Promise.all([1, 2, 3].map(() => call({ method: 'POST', path, body, headers })))
    expect(outcomes.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(outcomes.map(({ json }) => json['outcome']).sort()).toEqual(['repeated', 'repeated', 'taken'])
    expect(hints).toHaveLength(1)
  })
})

describe('rate limit', () => {
  const limited = { status: 429, code: 'rate-limited' }
  const of = async (given: PeerCall) => {
    const { status, json, headers } = await call(given)
    if (status === 429) expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    return { status, code: json['code'] }
  }

  test('of wrong secrets and tokens: past it the address is not heard, whatever X-Forwarded-For it invents; who is known is', async () => {
    const clock = new TestClock(Date.now())
    await start({ failedLoginLimit: 3, clock })
    const alice = await aToken({ exp: seconds() + 300 })
    expect((await sessions(alice)).status).toBe(200)
    const guess = (n: number) =>
      of({
        path: '/v1/hosts',
        headers: {
          'x-muster-admin-secret': `guess ${n}`,
          'x-forwarded-for': `203.0.113.${n}`,
          forwarded: 'for=1',
        },
      })
    for (const n of [1, 2, 3]) expect((await guess(n)).status).toBe(401)
    expect(await guess(4)).toEqual(limited)
    // A guess that is right is not told from the others, by whatever door.
    expect(await of({ path: '/v1/hosts', headers: asAdmin })).toEqual(limited)
    expect(await of({ path: '/v1/sessions', headers: await bearer({ sub: 'bob' }) })).toEqual(limited)
    const hook = { 'x-muster-hook-secret': hookSecret }
    expect(await of({ method: 'POST', path: '/v1/hooks/hasura/cron', headers: hook })).toEqual(limited)
    // Nobody else's request is lost for it: open routes, and tokens that were found good before.
    expect((await of({ path: '/healthz' })).status).toBe(200)
    expect((await sessions(alice)).status).toBe(200)
    await clock.advance(60_000)
    expect((await of({ path: '/v1/hosts', headers: asAdmin })).status).toBe(200)
  })

  test('of all requests: by caller, wherever from; by address for nobody’s, on every route', async () => {
    await start({ requestLimit: 4 })
    const asked = async (headers: Record<string, string>, path = '/v1/sessions') =>
      (await of({ path, headers })).status
    const [alice, bob] = [await bearer(), await bearer({ sub: 'bob' })]
    for (let n = 0; n < 4; n += 1) expect(await asked(alice)).toBe(200)
    expect(
      await of({ path: '/v1/sessions', headers: { ...alice, 'x-forwarded-for': '203.0.113.9' } }),
    ).toEqual(limited)
    expect(await asked(bob)).toBe(200)
    expect(await asked(asAdmin, '/v1/hosts')).toBe(200)
    for (const path of ['/healthz', '/readyz', '/nowhere']) expect(await asked({}, path)).not.toBe(429)
    expect(await asked({}, '/v1/sessions')).toBe(401)
    for (const { method, path, access } of apiRoutes) {
      const { status } = await of({ method, path: urlOf({ path }) })
      expect(status, path).toBe(access === 'hook' ? 401 : 429)
    }
  })

  test('X-Forwarded-For: a proxy that is configured is believed, for what it says last', async () => {
    for (const trustedProxies of ['heroku', ['127.0.0.0/8']] as const) {
      await start({ requestLimit: 1, trustedProxies })
      const from = async (forwarded: string) =>
        (await of({ path: '/healthz', headers: { 'x-forwarded-for': forwarded } })).status
      expect(await from('203.0.113.1')).toBe(200)
      // What a client wrote before it stands to the left.
      expect(await from('198.51.100.7, 203.0.113.1')).toBe(429)
      expect(await from('203.0.113.2')).toBe(200)
      // An IPv6 subscriber has 2^64 addresses.
      expect(await from('2001:db8:1:2::1')).toBe(200)
      expect(await from('2001:db8:1:2:ffff::2')).toBe(429)
      expect(await from('2001:db8:1:3::1')).toBe(200)
      await api.stop()
    }
    await start({ requestLimit: 1, trustedProxies: ['192.0.2.1'] })
    const spoofed = (n: number) => of({ path: '/healthz', headers: { 'x-forwarded-for': `203.0.113.${n}` } })
    expect((await spoofed(1)).status).toBe(200)
    expect(await spoofed(2)).toEqual(limited)
  })

  test('of requests for tokens and certificates: on its own, on every route that gives them out', async () => {
    const giving = apiRoutes.filter((route) => route.givesCredentials)
    expect(
      apiRoutes
        .filter(({ path }) => /token|certificates|download/.test(path) && !/revoke/.test(path))
        .every(({ method, givesCredentials }) => method === 'GET' || givesCredentials === true),
    ).toBe(true)
    for (const { method, path, body } of giving) {
      await start({ credentialLimit: 2 })
      const once = () => of({ method, path: urlOf({ path }), headers: asAdmin, body })
      expect((await once()).status).not.toBe(429)
      await once()
      expect(await once(), path).toEqual(limited)
      expect((await of({ path: '/v1/hosts', headers: asAdmin })).status).toBe(200)
      await api.stop()
    }
    await start()
  })
})

describe('IDOR', () => {
  /** What bob gets of alice's session by each route that could touch it. */
  const attempts: Readonly<Record<string, (bob: Record<string, string>) => Promise<void>>> = {
    'GET /v1/sessions': async (bob) => {
      expect((await call({ path: '/v1/sessions', headers: bob })).json).toEqual({ sessions: [] })
    },
    'POST /v1/release': async (bob) => {
      const body = { session_id: 's-alice' }
      const { status, json } = await call({ method: 'POST', path: '/v1/release', headers: bob, body })
      expect([status, json['code']]).toEqual([404, 'not-found'])
    },
    'POST /v1/assign': async (bob) => {
      const body = { regions: ['fake/a'], session_id: 's-alice' }
      const headers = { ...bob, 'idempotency-key': 'of-alice' }
      const { json } = await call({ method: 'POST', path: '/v1/assign', headers, body })
      expect(json).toMatchObject({ agent_id: 'a2' })
    },
  }

  test('what is another user’s is not there: on each route that touches a session, and all others want a role', async () => {
    await start()
    fixture.fleet.free('a1')
    fixture.fleet.free('a2')
    const headers = { ...(await bearer()), 'idempotency-key': 'of-alice' }
    const body = { regions: ['fake/a'], session_id: 's-alice' }
    expect((await call({ method: 'POST', path: '/v1/assign', headers, body })).json['agent_id']).toBe('a1')
    for (const { method, path, access, touchesSession, body: sample } of apiRoutes) {
      const name = `${method} ${path}`
      const bob = await bearer({ sub: `bob of ${path}` })
      if (touchesSession === true) {
        expect(attempts, `${name}: say here what another user gets`).toHaveProperty([name])
        await attempts[name]!(bob)
      } else {
        expect(access, `${name}: a user's route touches what is the user's`).not.toBe('user')
        if (access === 'open') continue
        const status = await statusOf({ method, path: urlOf({ path }), headers: bob, body: sample })
        expect(status, name).toBe(access === 'hook' ? 401 : 403)
      }
    }
    expect(fixture.fleet.agents.get('a1')).toMatchObject({ status: 'ALLOCATED', userId: 'alice' })
  })
})

test('a token of HS256 is good for its own secret alone', async () => {
  await start()
  expect((await sessions(await aToken())).status).toBe(200)
  expect((await sessions(await aToken({}, { secret: `${jwtSecret}x` }))).status).toBe(401)
})
