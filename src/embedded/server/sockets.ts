/** WebSockets at the GraphQL path: which protocol a client gets, and how all of them end. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer } from 'ws'

import { graphqlPath } from './http-server.ts'
import type { SocketOptions } from './transport-ws.ts'
import { serveTransportWs, transportProtocol } from './transport-ws.ts'

export interface Sockets {
  /** Refuses newcomers at once and closes what is open. */
  stop(): void
}

const mostBytes = 4 * 1024 * 1024

export function acceptSockets(server: Server, options: SocketOptions): Sockets {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: mostBytes,
    // Only this one is spoken; to the others the upgrade is answered without a protocol, and then closed.
    handleProtocols: (offered) => (offered.has(transportProtocol) ? transportProtocol : false),
  })
  let isStopping = false

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (isStopping) return refuse(socket, '503 Service Unavailable', 'Retry-After: 0\r\n')
    if (pathname !== graphqlPath) return refuse(socket, '404 Not Found')
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      if (accepted.protocol === transportProtocol) return serveTransportWs(accepted, request.headers, options)
      accepted.on('error', () => undefined)
      accepted.close(4406, `the sub-protocol must be ${transportProtocol}`)
    })
  })
  return {
    stop: () => {
      isStopping = true
      for (const socket of sockets.clients) {
        socket.close(1001, 'the server is stopping')
        // A peer that never answers the close would hold up the stop.
        options.clock.after(1_000, () => socket.terminate())
      }
    },
  }
}

function refuse(socket: Duplex, status: string, headers = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\n${headers}Connection: close\r\nContent-Length: 0\r\n\r\n`)
}
