/** WebSockets at the GraphQL path: which protocol a client gets, and how all of them end. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer } from 'ws'

import { graphqlPath } from './http-server.ts'
import type { SocketOptions } from './socket-connection.ts'
import { serveSocket } from './socket-connection.ts'
import type { SocketProtocol } from './socket-protocol.ts'

export interface Sockets {
  /** Refuses newcomers at once and closes what is open. */
  stop(): void
}

const mostBytes = 4 * 1024 * 1024
const closingMs = 1_000

export function acceptSockets(
  server: Server,
  protocols: readonly SocketProtocol[],
  options: SocketOptions,
): Sockets {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: mostBytes,
    handleProtocols: (offered) => protocols.find(({ name }) => offered.has(name))?.name ?? false,
  })
  let isStopping = false

  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => undefined)
    if (isStopping) {
      refuse(connection, '503 Service Unavailable', 'Retry-After: 0\r\n')
    } else if (request.url?.split('?')[0] !== graphqlPath) {
      refuse(connection, '404 Not Found')
    } else {
      sockets.handleUpgrade(request, connection, head, (socket) => {
        const protocol = protocols.find(({ name }) => name === socket.protocol)
        if (protocol !== undefined) {
          serveSocket(socket, request.headers, protocol, options)
          return
        }
        socket.on('error', () => undefined)
        socket.close(4406, `the sub-protocol must be ${protocols.map(({ name }) => name).join(' or ')}`)
      })
    }
  })
  return {
    stop: () => {
      isStopping = true
      for (const socket of sockets.clients) {
        socket.close(1001, 'the server is stopping')
        // A peer that never answers the close would hold up the stop.
        options.clock.after(closingMs, () => socket.terminate())
      }
    },
  }
}

function refuse(connection: Duplex, status: string, headers = ''): void {
  connection.end(`HTTP/1.1 ${status}\r\n${headers}Connection: close\r\nContent-Length: 0\r\n\r\n`)
}
