import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { guardRoutes } from '../../../src/api/access.ts'
import { createApi } from '../../../src/api/server.ts'
import { TokenVerifier } from '../../../src/api/tokens.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { adminSecret, anApi, asAdmin, bearer, hookSecret, jwtSecret } from '../../support/an-api.ts'

let fixture: ApiFixture
let app: FastifyInstance

beforeEach(async () => {
  fixture = anApi()
  ;({ app } = await createApi(fixture.options))
})
afterEach(() => app.close())

/** Every route of the API and who may use it. A new route must be added here. */
const routes = [
  ['GET', '/healthz', 'open'],
  ['GET', '/readyz', 'open'],
  ['GET', '/metrics', 'read'],
  ['POST', '/v1/assign', 'user'],
  ['POST', '/v1/release', 'user'],
  ['GET', '/v1/sessions', 'user'],
  ['GET', '/v1/hosts', 'read'],
  ['GET', '/v1/hosts/:id', 'read'],
  ['POST', '/v1/hosts/:id/drain', 'operate'],
  ['GET', '/v1/regions', 'read'],
  ['GET', '/v1/decisions', 'read'],
  ['POST', '/v1/hooks/hasura/event', 'hook'],
  ['POST', '/v1/hooks/hasura/cron', 'hook'],
] as const

test('the table of this test names every route that there is', () => {
  const printed = app.printRoutes({ commonPrefix: false, includeHooks: false })
  const paths = new Set<string>()
  const stack: string[] = []
  for (const line of printed.split('\n')) {
    const found = /^([│ ]*)[└├]── (\S+)/.exec(line)
    if (found === null) continue
    stack.splice(found[1]!.length / 4)
    stack.push(found[2]!)
    if (line.includes('(')) paths.add(stack.join(''))
  }
  expect([...paths].sort()).toEqual([...new Set(routes.map(([, path]) => path))].sort())
})

describe.each(routes)('%s %s', (method, path, access) => {
  const ask = (headers: Record<string, string | string[]> = {}) =>
    app.inject({ method, url: path, headers, ...(method === 'POST' && { payload: {} }) })
  /** Past the door: whatever the route itself says of a request without content. */
  const passes = async (headers: Record<string, string>) =>
    ![401, 403].includes((await ask(headers)).statusCode)

  test('lets in those whom it is for, and nobody else', async () => {
    const open = access === 'open'
    expect(await passes({})).toBe(open)
    expect(await passes(await bearer())).toBe(open || access === 'user')
    expect(await passes(await bearer({ role: 'viewer' }))).toBe(
      open || access === 'user' || access === 'read',
    )
    expect(await passes(await bearer({ role: 'operator' }))).toBe(access !== 'hook')
    expect(await passes(await bearer({ role: 'admin' }))).toBe(open || access === 'user')
    expect(await passes(asAdmin)).toBe(open || access === 'read' || access === 'operate')
    expect(await passes({ 'x-muster-hook-secret': hookSecret })).toBe(open || access === 'hook')
  })

  test('answers a wrong secret and no token with the same words', async () => {
    if (access === 'open') return
    const bodies = new Set<string>()
    for (const headers of [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Basic YTpi' },
      { authorization: 'Bearer a.b.c' },
      { authorization: `Bearer ${'x'.repeat(9_000)}` },
      ...['', 'x', adminSecret.slice(0, -1), `${adminSecret}x`].map((secret) => ({
        'x-muster-admin-secret': secret,
      })),
      { 'x-muster-admin-secret': [adminSecret, adminSecret] },
      { 'x-hasura-role': 'admin', 'x-hasura-user-id': 'alice' },
    ]) {
      const response = await ask(headers)
      expect(response.statusCode).toBe(401)
      expect(response.headers['www-authenticate']).toBe('Bearer')
      bodies.add(JSON.stringify({ ...response.json<object>(), request_id: '' }))
    }
    expect([...bodies]).toEqual([expect.stringContaining('"code":"unauthorized"')])
  })

  test('says which methods it knows', async () => {
    const response = await app.inject({
      method: method === 'GET' ? 'POST' : 'GET',
      url: path,
      headers: { 'content-type': 'text/html' },
    })
    expect(response.statusCode).toBe(405)
    expect(response.headers['allow']).toContain(method)
    expect(response.json()).toMatchObject({ code: 'method-not-allowed', status: 405 })
  })
})

test('a wrong admin secret is not made good by a token', async () => {
  const headers = { ...(await bearer({ role: 'operator' })), 'x-muster-admin-secret': 'wrong' }
  expect((await app.inject({ url: '/v1/hosts', headers })).statusCode).toBe(401)
})

test('a route that does not say who may use it does not start', () => {
  const fresh = fastify()
  guardRoutes(fresh, { admin: adminSecret, hooks: [] }, new TokenVerifier({ secret: jwtSecret }, systemClock))
  expect(() => fresh.get('/v1/secret', () => 'all')).toThrow('GET /v1/secret does not say who may use it')
})
