/** WebSockets at the GraphQL path: which protocol a client gets, and how all of them end. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'

import type { Clock } from '../../lib/clock.ts'
import { apolloWs } from './apollo-ws.ts'
import { graphqlPath } from './http-server.ts'
import type { Origins } from './origins.ts'
import type { SocketOptions } from './socket-connection.ts'
import { serveSocket } from './socket-connection.ts'
import { transportWs } from './transport-ws.ts'

export interface Sockets {
  /** Refuses newcomers from now on, and resolves once those that were open are closed. */
  stop(): Promise<void>
}

export interface SocketsOptions extends SocketOptions {
  readonly authCloseCode: 4400 | 4403
  readonly origins: Origins
}

const mostBytes = 4 * 1024 * 1024
const mostSockets = 2_000
const closingMs = 1_000
/** How often a peer is asked whether it is still there; one that says nothing between two is given up. */
const pingMs = 30_000
/** Too many, or on the way down: the client is to come again. */
const unavailable = '503 Service Unavailable'
const newName = 'graphql-transport-ws'

export function acceptSockets(
  server: Server,
  { authCloseCode, origins, ...options }: SocketsOptions,
): Sockets {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: mostBytes, handleProtocols: chosenName })
  const newProtocol = transportWs(authCloseCode)
  let isStopping = false

  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => undefined)
    if (isStopping) {
      refuse(connection, unavailable, 'Retry-After: 0\r\n')
    } else if (request.url?.split('?')[0] !== graphqlPath) {
      refuse(connection, '404 Not Found')
    } else if (!origins.mayConnect(request.headers)) {
      refuse(connection, '403 Forbidden')
    } else if (sockets.clients.size >= mostSockets) {
      refuse(connection, unavailable, 'Retry-After: 1\r\n')
    } else {
      sockets.handleUpgrade(request, connection, head, (socket) => {
        const isNew = request.headers['sec-websocket-protocol'] === newName
        giveUpWhenSilent(socket, options.clock)
        serveSocket(socket, origins.trusted(request.headers), isNew ? newProtocol : apolloWs, options)
      })
    }
  })
  return {
    stop: async () => {
      isStopping = true
      const closed = Array.from(sockets.clients, (socket) => closeForRestart(socket, options.clock))
      await Promise.all(closed)
    },
  }
}

/** A peer that is gone without a word holds its subscriptions for ever otherwise. */
function giveUpWhenSilent(socket: WebSocket, clock: Clock): void {
  let isHeard = true
  const hear = (): void => {
    isHeard = true
  }
  socket.on('message', hear).on('pong', hear)
  const look = (): void => {
    // One that is not read for the moment cannot be heard.
    if (!isHeard && !socket.isPaused) {
      socket.terminate()
      return
    }
    isHeard = false
    socket.ping()
    cancel = clock.after(pingMs, look)
  }
  let cancel = clock.after(pingMs, look)
  socket.on('close', () => cancel())
}

/** "The service restarts": good clients come again. A peer that never answers the close would hold up the stop. */
async function closeForRestart(socket: WebSocket, clock: Clock): Promise<void> {
  if (socket.readyState === socket.CLOSED) return
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.close(1012, 'shutting server down')
  const cancel = clock.after(closingMs, () => socket.terminate())
  await closed
  cancel()
}

/**
 * What the handshake answers. Only who offers nothing but the new protocol gets it; the others get the old one under its
 * name, or under one that they offered, since most clients break off at an answer that they did not offer.
 */
function chosenName(offered: ReadonlySet<string>): string | false {
  if (offered.size === 1 && offered.has(newName)) return newName
  if (offered.has(apolloWs.name)) return apolloWs.name
  return Array.from(offered).find((name) => name !== newName) ?? false
}

function refuse(connection: Duplex, status: string, headers = ''): void {
  connection.end(`HTTP/1.1 ${status}\r\n${headers}Connection: close\r\nContent-Length: 0\r\n\r\n`)
}
