/** The checklist of HTTP risks at the embedded endpoint's own door, over real sockets and without a database. */
import { once } from 'node:events'
import type { Server } from 'node:http'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'

import { createAuthentication } from '../../../src/embedded/server/authentication.ts'
import { createGraphqlRoute } from '../../../src/embedded/server/graphql-route.ts'
import type { GraphqlService } from '../../../src/embedded/server/graphql-service.ts'
import { createHttpServer, graphqlPath, listen } from '../../../src/embedded/server/http-server.ts'
import { readJwtOptions } from '../../../src/embedded/server/jwt-options.ts'
import { createOrigins } from '../../../src/embedded/server/origins.ts'
import type { Sockets } from '../../../src/embedded/server/sockets.ts'
import { acceptSockets } from '../../../src/embedded/server/sockets.ts'
import { HasuraError } from '../../../src/embedded/execution/hasura-error.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { aToken, jwtSecret } from '../../support/an-api.ts'
import { eventually } from '../../support/eventually.ts'
import { ask } from '../../support/http-peer.ts'
import { TestClock } from '../../support/test-clock.ts'

const clock = new TestClock(Date.now())
const [adminSecret, previousAdminSecret] = ['the-admin-secret', 'the-previous-secret']
let server: Server
let sockets: Sockets
let port = 0

/** Answers everybody whom the door lets in with who they are. */
const service: Pick<GraphqlService, 'answer' | 'refusalOf'> = {
  answer: (session) => Promise.resolve(JSON.stringify({ data: { role: session.role } })),
  refusalOf: (error) => (error instanceof HasuraError ? error : new HasuraError('unexpected', 'no')),
}

beforeAll(async () => {
  const jwt = readJwtOptions(
    JSON.stringify({ type: 'HS256', key: jwtSecret, header: { type: 'Cookie', name: 'token' } }),
  )
  const authenticate = createAuthentication({ adminSecret, previousAdminSecret, jwt, clock })
  const origins = createOrigins(['https://app.example', 'https://*.apps.example'])
  const graphql = createGraphqlRoute({
    authenticate,
    service: service as GraphqlService,
    logger: silentLogger,
  })
  server = createHttpServer({
    graphql,
    backUp: () => Promise.reject(new Error()),
    origins,
    logger: silentLogger,
  })
  const options = { authenticate, service: service as GraphqlService, clock, origins }
  sockets = acceptSockets(server, { ...options, authCloseCode: 4403 })
  port = await listen(server, '127.0.0.1', 0)
})
afterAll(async () => {
  await sockets.stop()
  server.close()
  server.closeAllConnections()
})

const connect = (headers: Record<string, string> = {}) =>
  new WebSocket(`ws://127.0.0.1:${port}${graphqlPath}`, ['graphql-transport-ws'], {
    headers,
    autoPong: false,
  })

/** 101, or the status that refused the upgrade. */
async function upgrade(headers: Record<string, string>): Promise<number> {
  const socket = connect(headers)
  const status = await new Promise<number>((resolve) => {
    socket.on('open', () => resolve(101))
    socket.on('error', () => undefined)
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
  })
  socket.terminate()
  return status
}
async function opened(): Promise<WebSocket> {
  const socket = connect()
  await once(socket, 'open')
  return socket
}
/** Past the door: `connection_ack`, or the code that closed the socket. */
async function greeted(socket: WebSocket, headers: Record<string, string>): Promise<string | number> {
  const said = new Promise<string | number>((resolve) => {
    socket.on('message', (data: Buffer) => resolve((JSON.parse(data.toString()) as { type: string }).type))
    socket.on('close', (code) => resolve(code))
  })
  socket.send(JSON.stringify({ type: 'connection_init', payload: { headers } }))
  return await said
}
const claims = { 'x-hasura-allowed-roles': ['viewer'], 'x-hasura-default-role': 'viewer' }
const cookie = async (changes: object = {}) =>
  `token=${await aToken({ 'https://hasura.io/jwt/claims': claims, ...changes })}`

describe('websockets', () => {
  test('a page of another origin is refused before the upgrade; its own, listed ones and programs are not', async () => {
    for (const [origin, status] of [
      ['https://evil.example', 403],
      ['https://app.example.evil', 403],
      ['http://app.example', 403],
      ['https://app.example:8443', 403],
      ['https://apps.example', 403],
      ['https://a.b.apps.example', 403],
      ['null', 403],
      ['', 403],
      [`http://localhost:${port}`, 403],
      [`http://127.0.0.1:${port}`, 101],
      ['https://app.example', 101],
      ['https://APP.example', 101],
      ['https://one.apps.example', 101],
    ] as const) {
      expect(await upgrade({ origin }), origin).toBe(status)
    }
    expect(await upgrade({})).toBe(101)
  })

  test('nobody comes in without a credential, either of two admin secrets is one', async () => {
    expect(await greeted(await opened(), {})).toBe(4403)
    expect(await greeted(await opened(), { 'x-hasura-admin-secret': `${adminSecret}x` })).toBe(4403)
    for (const secret of [adminSecret, previousAdminSecret]) {
      const socket = await opened()
      expect(await greeted(socket, { 'x-hasura-admin-secret': secret })).toBe('connection_ack')
      socket.terminate()
    }
  })

  test('the end of a token ends its socket', async () => {
    const socket = await opened()
    const exp = Math.floor(clock.now() / 1000) + 20
    expect(await greeted(socket, { cookie: await cookie({ exp }) })).toBe('connection_ack')
    const closed = once(socket, 'close')
    await clock.advance(19_000 - (clock.now() % 1000))
    expect(socket.readyState).toBe(WebSocket.OPEN)
    await clock.advance(1_000)
    await closed
  })

  test('a frame of more than 4 MiB closes with 1009', async () => {
    const socket = await opened()
    const closed = once(socket, 'close')
    socket.on('error', () => undefined)
    socket.send('x'.repeat(4 * 1024 * 1024 + 1))
    expect((await closed)[0]).toBe(1009)
  })

  test('a peer that is gone without a word is given up; one that answers pings is not', async () => {
    const [silent, polite] = [await opened(), await opened()]
    for (const socket of [silent, polite]) {
      expect(await greeted(socket, { 'x-hasura-admin-secret': adminSecret })).toBe('connection_ack')
    }
    let pings = 0
    silent.on('ping', () => (pings += 1))
    polite.on('ping', () => polite.pong())
    const closed = once(silent, 'close')
    for (let round = 1; round <= 3; round += 1) {
      await clock.advance(30_000)
      if (round < 3) await eventually(() => pings >= round || silent.readyState === WebSocket.CLOSED)
      // The pong has been read once something sent after it is answered.
      const answered = once(polite, 'message')
      polite.send(JSON.stringify({ type: 'ping' }))
      await answered
    }
    await closed
    expect(polite.readyState).toBe(WebSocket.OPEN)
    polite.terminate()
  })
})

describe('CORS over HTTP', () => {
  const post = async (headers: Record<string, string>) =>
    ask(port, { method: 'POST', path: graphqlPath, headers, body: { query: '{ __typename }' } })

  test('a cookie counts for pages that are listed, and for no others', async () => {
    const token = await cookie({ exp: Math.floor(clock.now() / 1000) + 60 })
    const roleOf = async (headers: Record<string, string>) =>
      (await post({ ...headers, cookie: token })).json['data']
    expect(await roleOf({})).toEqual({ role: 'viewer' })
    expect(await roleOf({ origin: 'https://app.example' })).toEqual({ role: 'viewer' })
    expect(await roleOf({ origin: 'https://evil.example' })).toBeUndefined()
    expect(await roleOf({ origin: 'null' })).toBeUndefined()
  })

  test('a page may read if it is listed; * never goes with credentials', async () => {
    const corsOf = (headers: object) =>
      Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-allow-')))
    const listed = await post({ origin: 'https://app.example' })
    expect(corsOf(listed.headers)).toEqual({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-credentials': 'true',
    })
    expect([listed.headers.vary, listed.headers['x-content-type-options']]).toEqual(['origin', 'nosniff'])
    expect(corsOf((await post({ origin: 'https://evil.example' })).headers)).toEqual({})
    const preflight = async (origin: string) =>
      ask(port, {
        ...{ method: 'OPTIONS', path: graphqlPath },
        headers: { origin, 'access-control-request-headers': 'authorization' },
      })
    expect((await preflight('https://app.example')).status).toBe(204)
    expect((await preflight('https://evil.example')).status).toBe(404)
    expect(createOrigins(['*']).corsHeaders({ origin: 'https://evil.example' })).toEqual({
      'access-control-allow-origin': '*',
    })
    const withCookie = { origin: 'https://evil.example', host: 'x', cookie: 'token=t' }
    expect(createOrigins(['*']).trusted(withCookie)).not.toHaveProperty('cookie')
  })
})
