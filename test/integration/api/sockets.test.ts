/** What only shows on a real connection: hanging up, stopping, ports, and bytes that are no request. */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { RunningApi } from '../../../src/api/server.ts'
import { startApi } from '../../../src/api/server.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { anApi, bearer } from '../../support/an-api.ts'
import { eventually } from '../../support/eventually.ts'

let fixture: ApiFixture
let api: RunningApi

beforeEach(async () => {
  fixture = anApi()
  fixture.fleet.region('fake/a')
  api = await startApi(fixture.options)
})
afterEach(() => api.stop())

const assign = async (body: object, signal?: AbortSignal) =>
  fetch(`${api.url}/v1/assign`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(await bearer()) },
    body: JSON.stringify({ regions: ['fake/a'], ...body }),
    ...(signal !== undefined && { signal }),
  })

test('an agent is assigned over HTTP', async () => {
  fixture.fleet.free('a1')
  const response = await assign({})
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ agent_id: 'a1' })
})

describe('a client that hangs up', () => {
  test('before its session is acknowledged leaves its agent DYING', async () => {
    fixture.fleet.free('a1')
    fixture.fleet.silent.add('h1')
    const gone = new AbortController()
    const answer = assign({}, gone.signal).catch((error: unknown) => error)
    await eventually(() => fixture.fleet.agents.get('a1')?.status === 'ALLOCATED')
    gone.abort()
    await eventually(() => fixture.fleet.agents.get('a1')?.status === 'DYING')
    await answer
  })

  test('while it waits leaves the line', async () => {
    const gone = new AbortController()
    const answer = assign({ wait_ms: 20_000 }, gone.signal).catch((error: unknown) => error)
    await eventually(() => fixture.options.assigner.waitingUsers('fake/a') === 1)
    gone.abort()
    await eventually(() => fixture.options.assigner.waitingUsers('fake/a') === 0)
    await answer
  })
})

describe('while it stops', () => {
  test('what is under way is finished, who waits is sent away, and connections end', async () => {
    const slow = Promise.withResolvers<undefined>()
    const waiting = assign({ wait_ms: 20_000 })
    await eventually(() => fixture.options.assigner.waitingUsers('fake/a') === 1)
    fixture.fleet.latency = () => slow.promise
    const before = fixture.fleet.calls
    const sessions = fetch(`${api.url}/v1/sessions`, { headers: await bearer() })
    await eventually(() => fixture.fleet.calls > before)
    const stopped = api.stop()
    const sentAway = await waiting
    expect([sentAway.status, await sentAway.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'unavailable' }),
    ])
    slow.resolve(undefined)
    const finished = await sessions
    expect([finished.status, finished.headers.get('connection')]).toEqual([200, 'close'])
    await stopped
    await expect(fetch(`${api.url}/healthz`)).rejects.toThrow('fetch failed')
  })

  test('a request that is still coming in is refused', async () => {
    const socket = connect(api.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('GET /healthz HTTP/1.1\r\n')
    // So that the server has read this much, too.
    await fetch(`${api.url}/healthz`)
    const stopped = api.stop()
    socket.write('host: x\r\n\r\n')
    const answer = await text(socket)
    await stopped
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({ code: 'unavailable' })
  })
})

test('a port in use is said with the setting that changes it', async () => {
  await expect(startApi({ ...fixture.options, port: api.port })).rejects.toMatchObject({
    code: 'port-in-use',
    message: expect.stringContaining('PORT') as string,
  })
})

test('bytes that are no request are answered with a problem', async () => {
  const socket = connect(api.port, '127.0.0.1')
  socket.end('what is this\r\n\r\n')
  const answer = await text(socket)
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({ code: 'invalid-request', status: 400 })
})

test('headers without end are refused', async () => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(
      `${api.url}/healthz`,
      { agent: new Agent(), headers: { 'x-large': 'x'.repeat(32_768) } },
      resolve,
    )
    asked.on('error', reject)
    asked.end()
  })
  expect(response.statusCode).toBe(400)
  response.resume()
})
