import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { guardRoutes } from '../../../src/api/access.ts'
import { createApi } from '../../../src/api/server.ts'
import { TokenVerifier } from '../../../src/api/tokens.ts'
import type { RouteMethods } from '../../../src/api/other-methods.ts'
import { RateLimiter } from '../../../src/api/rate-limiter.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { adminSecret, anApi, asAdmin, bearer, hookSecret, jwtSecret } from '../../support/an-api.ts'
import { apiRoutes, namesOfRoutes, urlOf } from '../../support/api-routes.ts'

let fixture: ApiFixture
let app: FastifyInstance
let routes: RouteMethods

beforeEach(async () => {
  fixture = anApi()
  ;({ app, routes } = await createApi(fixture.options))
})
afterEach(() => app.close())

test('the table of the tests names every route that there is', () => {
  const there = [...routes].flatMap(([path, methods]) => Array.from(methods, (method) => `${method} ${path}`))
  expect(there.filter((name) => !name.startsWith('HEAD ')).sort()).toEqual([...namesOfRoutes].sort())
})

describe.each(apiRoutes)('$method $path', (route) => {
  const { method, access } = route
  const path = urlOf(route)
  const ask = (headers: Record<string, string | string[]> = {}) =>
    app.inject({ method, url: path, headers, ...(method !== 'GET' && { payload: {} }) })
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
      method: 'PATCH',
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
  const limiter = new RateLimiter({ max: 1, windowMs: 1, clock: systemClock })
  guardRoutes(fresh, {
    secrets: { admin: [adminSecret], hooks: [] },
    tokens: new TokenVerifier({ secret: jwtSecret }, systemClock),
    limits: { requests: limiter, failures: limiter, credentials: limiter },
  })
  expect(() => fresh.get('/v1/secret', () => 'all')).toThrow('GET /v1/secret does not say who may use it')
})
