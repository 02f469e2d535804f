/** The two sub-protocols word by word (facts/hasura.md, 2.3), for which real clients are too polite. */
import { request } from 'node:http'
import { connect } from 'node:net'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { fillLibrary } from '../../support/library.ts'
import type { SocketPeer } from '../../support/socket-peer.ts'
import { connectPeer, init, newProtocol, oldProtocol } from '../../support/socket-peer.ts'

let library: AnEndpoint
const peers: SocketPeer[] = []
const open = async (
  ...args: Parameters<typeof connectPeer> extends [string, ...infer Rest] ? Rest : never
) => {
  const peer = await connectPeer(library.endpoint.url, ...args)
  peers.push(peer)
  return peer
}
const ready = async (protocol: string): Promise<SocketPeer> => {
  const peer = await open(protocol)
  peer.say(init)
  await peer.hears('connection_ack')
  return peer
}
const names = 'subscription { author(order_by: {id: asc}) { name } }'
const bornOn = (day: string) => ({
  query: 'query ($day: date) { author(where: {born: {_eq: $day}}) { id } }',
  variables: { day },
})

beforeAll(async () => {
  library = await anEndpoint('pglite')
  await fillLibrary(library)
})
afterEach(() => {
  for (const peer of peers.splice(0)) peer.end()
})
afterAll(async () => library.close())

it('keeps sockets alive again and again, in both protocols', async () => {
  const [newer, older] = [await ready(newProtocol), await ready(oldProtocol)]
  const count = ({ heard }: SocketPeer, type: string) => heard.filter((each) => each['type'] === type).length
  await eventually(() => count(newer, 'ping') >= 2 && count(older, 'ka') >= 2, { timeoutMs: 15_000 })
})

describe('which protocol is spoken', () => {
  it.each([
    { offered: newProtocol, answered: newProtocol, keepAlive: 'ping' },
    { offered: oldProtocol, answered: oldProtocol, keepAlive: 'ka' },
    { offered: [], answered: '', keepAlive: 'ka' },
    { offered: [newProtocol, oldProtocol], answered: oldProtocol, keepAlive: 'ka' },
    { offered: ['mine'], answered: 'mine', keepAlive: 'ka' },
    { offered: [newProtocol, 'mine'], answered: 'mine', keepAlive: 'ka' },
  ])('who offers $offered is spoken to with $keepAlive', async ({ offered, answered, keepAlive }) => {
    const peer = await open(offered)
    peer.say(init)
    await peer.hears(keepAlive)
    expect(peer.protocol).toBe(answered)
    expect(peer.heard.slice(0, 2).map(({ type }) => type)).toEqual(['connection_ack', keepAlive])
  })

  it('takes two headers for several names', async () => {
    const { port } = library.endpoint
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text))
    socket.write(
      'GET /v1/graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Protocol: graphql-ws\r\n\r\n',
    )
    await eventually(() => answer.includes('\r\n\r\n'))
    socket.destroy()
    expect(answer).toMatch(/^HTTP\/1\.1 101 .*Sec-WebSocket-Protocol: graphql-ws\r\n/s)
  })
})

describe.each([
  { protocol: newProtocol, next: 'next', start: 'subscribe', stop: 'complete' },
  { protocol: oldProtocol, next: 'data', start: 'start', stop: 'stop' },
])('both protocols: $protocol', ({ protocol, next, start, stop }) => {
  const isNew = protocol === newProtocol

  it('answers a ping with its payload', async () => {
    const peer = await ready(protocol)
    peer.say({ type: 'ping', payload: { n: 1 } })
    peer.say({ type: 'ping' })
    expect(await peer.hears('pong', 2)).toEqual([{ type: 'pong', payload: { n: 1 } }, { type: 'pong' }])
  })

  it('answers queries, and tells what failed before and after it ran apart', async () => {
    const peer = await ready(protocol)
    peer.say({
      type: start,
      id: 'good',
      payload: { query: '{ author(limit: 1, order_by: {id: asc}) { id } }' },
    })
    peer.say({ type: start, id: 'unknown', payload: { query: '{ nothing }' } })
    peer.say({ type: start, id: 'no query', payload: { query: 7 } })
    peer.say({ type: start, id: 'no payload' })
    peer.say({ type: start, id: 'no day', payload: bornOn('no day') })
    await peer.hears('complete', 5)
    const errorOf = (code: string) => [
      { message: expect.any(String) as string, extensions: { code, path: expect.any(String) as string } },
    ]
    const before = (code: string) => (isNew ? errorOf(code) : { errors: errorOf(code) })
    expect(peer.heard.filter(({ type }) => type !== 'ka' && type !== 'ping').slice(1)).toEqual([
      { type: next, id: 'good', payload: { data: { author: [{ id: 1 }] } } },
      { type: 'complete', id: 'good' },
      { type: 'error', id: 'unknown', payload: before('validation-failed') },
      { type: 'complete', id: 'unknown' },
      { type: 'error', id: 'no query', payload: before('parse-failed') },
      { type: 'complete', id: 'no query' },
      { type: 'error', id: 'no payload', payload: before('parse-failed') },
      { type: 'complete', id: 'no payload' },
      isNew
        ? { type: 'error', id: 'no day', payload: errorOf('data-exception') }
        : { type: 'data', id: 'no day', payload: { errors: errorOf('data-exception') } },
      { type: 'complete', id: 'no day' },
    ])
  })

  it('takes an identifier again once it is free, and not before', async () => {
    const peer = await ready(protocol)
    const begin = { type: start, id: 'x', payload: { query: names } }
    peer.say(begin)
    peer.say(begin)
    const [error] = await peer.hears('error')
    const refusal = {
      message: 'an operation already exists with this id: x',
      extensions: { path: '$', code: 'start-failed' },
    }
    expect(error).toEqual({ type: 'error', id: 'x', payload: isNew ? [refusal] : refusal })
    await peer.hears(next)
    peer.say({ type: stop, id: 'x' })
    peer.say(begin)
    await peer.hears(next, 2)
    // It is silent about the first, which has been stopped.
    await library.ask(
      'mutation { update_author(where: {id: {_eq: 2}}, _set: {name: "Frank"}) { affected_rows } }',
    )
    await peer.hears(next, 3)
    await library.ask(
      'mutation { update_author(where: {id: {_eq: 2}}, _set: {name: "Herbert"}) { affected_rows } }',
    )
    expect(await peer.hears(next, 4)).toHaveLength(4)
  })

  it('starts nothing before the connection is initialised', async () => {
    const peer = await open(protocol)
    peer.say({ type: start, id: 'a', payload: { query: '{ author { id } }' } })
    const refusal = {
      message: 'start received before the connection is initialised',
      extensions: { path: '$', code: 'start-failed' },
    }
    await peer.hears('complete')
    expect(peer.heard).toEqual([
      { type: 'error', id: 'a', payload: isNew ? [refusal] : refusal },
      { type: 'complete', id: 'a' },
    ])
  })

  it('handles one message after another', async () => {
    const peer = await ready(protocol)
    const steps = Array.from({ length: 20 }, (_, index) => `${index}`)
    for (const id of steps) {
      peer.say({
        type: start,
        id,
        payload: {
          query: `mutation { update_author_by_pk(pk_columns: {id: 1}, _append: {details: {n: ${id}}}) { details(path: "$.n") } }`,
        },
      })
    }
    const answers = await peer.hears(next, steps.length)
    expect(answers.map(({ payload }) => payload)).toEqual(
      steps.map((id) => ({ data: { update_author_by_pk: { details: Number(id) } } })),
    )
  })

  it('says that a subscription must have one field, and streams need a cursor', async () => {
    const peer = await ready(protocol)
    peer.say({ type: start, id: '1', payload: { query: 'subscription { author { id } __typename }' } })
    peer.say({
      type: start,
      id: '2',
      payload: { query: 'subscription { sample_stream(batch_size: 1, cursor: [null]) { id } }' },
    })
    const [first, second] = await peer.hears('error', 2)
    expect(JSON.stringify(first)).toContain('subscriptions must select one top level field')
    expect(JSON.stringify(second)).toContain('one streaming column field is expected')
  })

  it('takes a secret from the upgrade as well, and the message over it', async () => {
    const good = await open(protocol, { 'x-hasura-admin-secret': adminSecret })
    good.say('{"type":"connection_init"}')
    await good.hears('connection_ack')
    const bad = await open(protocol, { 'x-hasura-admin-secret': adminSecret })
    bad.say({ type: 'connection_init', payload: { headers: { 'X-Hasura-Admin-Secret': 'guess' } } })
    await bad.closes()
  })

  it('ends with 1000 whoever says so', async () => {
    const peer = await ready(protocol)
    peer.say({ type: 'connection_terminate' })
    expect((await peer.closes()).code).toBe(1000)
  })

  it('takes binary frames for text, and closes with 1009 at one that is too large', async () => {
    const peer = await open(protocol)
    peer.socket.send(Buffer.from(JSON.stringify(init)), { binary: true })
    await peer.hears('connection_ack')
    peer.say({ type: start, id: 'a', payload: { query: `# ${'x'.repeat(4 * 1024 * 1024)}` } })
    expect((await peer.closes()).code).toBe(1009)
  })
})

describe('graphql-transport-ws', () => {
  it('closes with 4408 a socket that does not say who it is', async () => {
    const peer = await open(newProtocol)
    expect(await peer.closes()).toEqual({
      code: 4408,
      reason: '{"server_error_msg":"4408: Connection initialisation timed out"}',
    })
  })

  it('closes with 4403 a socket with a wrong secret, or none', async () => {
    for (const payload of [{ headers: { 'x-hasura-admin-secret': 'guess' } }, {}, undefined]) {
      const peer = await open(newProtocol)
      peer.say({ type: 'connection_init', payload })
      expect(await peer.closes()).toEqual({ code: 4403, reason: '{"server_error_msg":"4403: Forbidden"}' })
    }
  })

  it('closes with 4400 a socket that says what is no message', async () => {
    for (const message of ['hello', '{"type":"start"}', '[]', '{"type":"subscribe","id":1}']) {
      const peer = await ready(newProtocol)
      peer.say(message)
      const { code, reason } = await peer.closes()
      expect(code).toBe(4400)
      expect(reason).toMatch(/^\{"server_error_msg":"4400: Parsing client message failed: /)
    }
  })

  it('closes with 4429 a socket that says twice who it is', async () => {
    const peer = await ready(newProtocol)
    peer.say(init)
    expect((await peer.closes()).code).toBe(4429)
  })
})

describe('graphql-ws', () => {
  it('tells what is wrong with the credentials, then closes with 4400', async () => {
    const peer = await open([])
    peer.say({ type: 'connection_init', payload: { headers: { 'x-hasura-admin-secret': 'guess' } } })
    const words = 'invalid x-hasura-admin-secret/x-hasura-access-key'
    expect(await peer.closes()).toEqual({
      code: 4400,
      reason: `{"server_error_msg":"4400: Connection initialization failed: ${words}"}`,
    })
    expect(peer.heard).toEqual([{ type: 'connection_error', payload: words }])
  })

  it('tells what is no message, and goes on', async () => {
    const peer = await ready(oldProtocol)
    peer.say('hello')
    peer.say('{"type":"hello"}')
    const errors = await peer.hears('connection_error', 2)
    for (const { payload } of errors) expect(payload).toMatch(/^parsing ClientMessage failed: Error in \$/)
    peer.say({ type: 'start', id: 'a', payload: { query: '{ __typename }' } })
    expect(await peer.hears('data')).toEqual([
      { type: 'data', id: 'a', payload: { data: { __typename: 'query_root' } } },
    ])
  })

  it('does not mind a second introduction', async () => {
    const peer = await open(oldProtocol)
    peer.say(init)
    peer.say(init)
    await peer.hears('connection_ack', 2)
    await peer.hears('ka', 2)
  })
})

describe('its end', () => {
  it('closes sockets with 1012, refuses new ones with 503 meanwhile, and does not wait for those that do not answer', async () => {
    const [peer, silent] = [await ready(newProtocol), await ready(oldProtocol)]
    peer.say({ type: 'subscribe', id: 'a', payload: { query: names } })
    await peer.hears('next')
    const { port } = library.endpoint
    silent.socket.pause()
    const restarted = library.restart()
    expect(await peer.closes()).toEqual({ code: 1012, reason: 'shutting server down' })
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    const late = request({ port, path: '/v1/graphql', headers })
    const refused = new Promise((resolve, reject) => {
      late.on('response', (response) => resolve([response.statusCode, response.headers['retry-after']]))
      late.on('error', reject)
    })
    late.end()
    expect(await refused).toEqual([503, '0'])
    await restarted
    expect((await library.ask('{ author(limit: 1) { id } }')).data).toBeDefined()
  })
})
