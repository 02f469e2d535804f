/** The protocol word by word, for which real clients are too polite. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'

import { adminSecret, anEndpoint } from '../../support/an-endpoint.ts'
import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'

interface Peer {
  readonly heard: Record<string, unknown>[]
  closed: { code: number; reason: string } | undefined
  say(message: unknown): void
  end(): void
}

const init = { type: 'connection_init', payload: { headers: { 'x-hasura-admin-secret': adminSecret } } }
const ping = { type: 'ping', payload: { message: 'keepalive' } }

describe('the graphql-transport-ws protocol', () => {
  let library: AnEndpoint
  const peers: Peer[] = []

  const connect = async (protocols: string[] = ['graphql-transport-ws']): Promise<Peer> => {
    const socket = new WebSocket(library.endpoint.url.replace('http', 'ws'), protocols)
    const peer: Peer = {
      heard: [],
      closed: undefined,
      say: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
      end: () => socket.terminate(),
    }
    socket.on('message', (data: Buffer) =>
      peer.heard.push(JSON.parse(data.toString()) as Record<string, unknown>),
    )
    socket.on('close', (code, reason) => (peer.closed = { code, reason: reason.toString() }))
    socket.on('error', () => undefined)
    peers.push(peer)
    await eventually(() => socket.readyState !== WebSocket.CONNECTING)
    return peer
  }
  const closeOf = async (peer: Peer) => await eventually(() => peer.closed)
  const heard = async (peer: Peer, count: number) => {
    await eventually(() => peer.heard.length >= count)
    return peer.heard
  }

  beforeAll(async () => {
    library = await anEndpoint('pglite')
  })
  afterAll(async () => {
    for (const peer of peers) peer.end()
    await library.close()
  })

  it('acknowledges, then pings; answers a ping with its payload', async () => {
    const peer = await connect()
    peer.say(init)
    peer.say({ type: 'ping', payload: { n: 1 } })
    expect(await heard(peer, 3)).toEqual([
      { type: 'connection_ack' },
      ping,
      { type: 'pong', payload: { n: 1 } },
    ])
  })

  it('pings again and again', async () => {
    const peer = await connect()
    peer.say(init)
    const pings = () => peer.heard.filter(({ type }) => type === 'ping').length
    await eventually(() => pings() >= 2, { timeoutMs: 8_000 })
  })

  it('answers an error with error and complete, an answer with next and complete', async () => {
    const peer = await connect()
    peer.say(init)
    peer.say({ type: 'subscribe', id: 'a', payload: { query: '{ nothing }' } })
    peer.say({ type: 'subscribe', id: 'b', payload: { query: '{ author { id } }' } })
    peer.say({ type: 'subscribe', id: 'c', payload: { query: 7 } })
    expect((await heard(peer, 8)).slice(2)).toMatchObject([
      { type: 'error', id: 'a', payload: [{ extensions: { code: 'validation-failed' } }] },
      { type: 'complete', id: 'a' },
      { type: 'next', id: 'b', payload: { data: { author: [] } } },
      { type: 'complete', id: 'b' },
      { type: 'error', id: 'c', payload: [{ extensions: { code: 'parse-failed' } }] },
      { type: 'complete', id: 'c' },
    ])
  })

  it('takes an identifier again once it is free, and not before', async () => {
    const peer = await connect()
    const subscribe = { type: 'subscribe', id: 'x', payload: { query: 'subscription { author { id } }' } }
    peer.say(init)
    peer.say(subscribe)
    peer.say(subscribe)
    await eventually(() => peer.heard.some(({ type }) => type === 'next'))
    expect(peer.heard).toContainEqual({
      type: 'error',
      id: 'x',
      payload: [
        {
          message: 'an operation already exists with this id: x',
          extensions: { code: 'start-failed', path: '$' },
        },
      ],
    })
    peer.say({ type: 'complete', id: 'x' })
    peer.say(subscribe)
    await eventually(() => peer.heard.filter(({ type }) => type === 'next').length === 2)
  })

  it('starts nothing before the connection is initialised', async () => {
    const peer = await connect()
    peer.say({ type: 'subscribe', id: 'a', payload: { query: '{ author { id } }' } })
    expect(await heard(peer, 2)).toMatchObject([
      {
        type: 'error',
        id: 'a',
        payload: [{ message: 'start received before the connection is initialised' }],
      },
      { type: 'complete', id: 'a' },
    ])
  })

  it('closes with 4408 a socket that does not say who it is', async () => {
    const peer = await connect()
    expect((await closeOf(peer)).code).toBe(4408)
  })

  it('closes with 4403 a socket with a wrong secret, or none', async () => {
    for (const payload of [{ headers: { 'x-hasura-admin-secret': 'guess' } }, {}, undefined]) {
      const peer = await connect()
      peer.say({ type: 'connection_init', payload })
      const { code, reason } = await closeOf(peer)
      expect(code).toBe(4403)
      expect(reason).toMatch(/^\{"server_error_msg":"4403: /)
    }
  })

  it('closes with 4400 a socket that speaks otherwise', async () => {
    for (const message of ['hello', '{"type":"start"}', '[]', '{"type":"subscribe","id":1}']) {
      const peer = await connect()
      peer.say(init)
      peer.say(message)
      expect((await closeOf(peer)).code).toBe(4400)
    }
  })

  it('closes a socket of another protocol', async () => {
    expect((await closeOf(await connect([]))).code).toBe(4406)
  })

  it('takes a secret from the upgrade as well', async () => {
    const socket = new WebSocket(library.endpoint.url.replace('http', 'ws'), 'graphql-transport-ws', {
      headers: { 'x-hasura-admin-secret': adminSecret },
    })
    const types: unknown[] = []
    socket.on('open', () => socket.send('{"type":"connection_init"}'))
    socket.on('message', (data: Buffer) => types.push((JSON.parse(data.toString()) as { type: string }).type))
    await eventually(() => types.length === 2)
    expect(types).toEqual(['connection_ack', 'ping'])
    socket.terminate()
  })

  it('closes sockets when it stops, and does not wait for those that do not answer', async () => {
    const peer = await connect()
    peer.say(init)
    peer.say({ type: 'subscribe', id: 'a', payload: { query: 'subscription { author { id } }' } })
    await heard(peer, 3)
    await library.restart()
    expect((await closeOf(peer)).code).toBe(1001)
    expect((await library.ask('{ author { id } }')).data).toEqual({ author: [] })
  })
})
