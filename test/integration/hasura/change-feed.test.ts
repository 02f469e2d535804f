import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'

import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createChangeFeed } from '../../../src/hasura/hasura-change-feed.ts'
import { eventually } from '../../support/eventually.ts'
import { TestClock } from '../../support/test-clock.ts'

const stopping = new AbortController()
const cleanUps: (() => void)[] = []
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})

/** A server that takes connections and does with them what the test says. */
async function aServer(onSocket: (socket: Socket) => void = () => undefined) {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.resume()
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/graphql`, sockets }
}

function follow(url: string) {
  const clock = new TestClock()
  const end = new AbortController()
  const seen: string[] = []
  const feed = createChangeFeed(createHasuraClient({ url, adminSecret: 'secret' }), clock)
  void feed.follow(
    () => 0,
    {
      batch: () => seen.push('batch'),
      connected: () => seen.push('connected'),
      gap: (why) => seen.push(why),
    },
    end.signal,
  )
  cleanUps.push(() => end.abort(stopping.signal.reason))
  return { clock, seen }
}

describe('the stream of changes', () => {
  it('gives up on a connection that nobody answers, and tries another', async () => {
    const { url, sockets } = await aServer()
    const { clock, seen } = follow(url)
    const [first] = await eventually(() => sockets.size === 1 && [...sockets])
    await clock.advance(5_000)
    expect(seen).toEqual(['no connection within 5 s'])
    await eventually(() => !sockets.has(first!), { what: 'the first connection is closed' })
    await clock.advance(1_000)
    await eventually(() => sockets.size === 1, { what: 'a second connection' })
  })

  it('gives up on an engine that opens the socket and does not acknowledge it, however late it does', async () => {
    const engine = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: (all) => [...all][0]! })
    cleanUps.push(() => {
      for (const client of engine.clients) client.terminate()
      engine.close()
    })
    await new Promise((resolve) => engine.once('listening', resolve))
    const url = `http://127.0.0.1:${(engine.address() as AddressInfo).port}/v1/graphql`
    const initialised = new Promise<void>((resolve) =>
      engine.once('connection', (socket) => socket.once('message', () => resolve())),
    )
    const { clock, seen } = follow(url)
    await initialised
    await clock.advance(5_000)
    for (const client of engine.clients) client.send(JSON.stringify({ type: 'connection_ack' }))
    await eventually(() => engine.clients.size === 0, { what: 'the connection is closed' })
    expect(seen).toEqual(['no connection within 5 s'])
  })
})
