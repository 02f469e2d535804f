/**
 * Managers where only HTTP comes in: a WebSocket at `/v1/managers` carries the bytes of the same TLS connection that the
 * port would take, so a proxy that ends its own TLS sees nothing and proves nothing.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type { WebSocket } from 'ws'
import { createWebSocketStream, WebSocketServer } from 'ws'

import type { Clock } from '../lib/clock.ts'

export interface WebSocketDoorOptions {
  /** Takes the bytes of a connection; `address` is whose it is. */
  readonly take: (bytes: Duplex, address: string) => void
  /** Whose a request is: behind a proxy not that of the socket. */
  readonly addressOf: (request: IncomingMessage) => string
  /** Whether this daemon lets managers in at all. */
  readonly isOpen: () => boolean
  readonly clock: Pick<Clock, 'after'>
}

export interface WebSocketDoor {
  /** Takes a request to upgrade, or refuses it: the event `upgrade` of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  stop(): void
}

const path = '/v1/managers'
const largestFrame = 64 * 1024
/** Buffered of one connection in each direction, bytes; a slow peer holds the other end back. */
const highWaterMark = 64 * 1024
const pingEveryMs = 15_000

export function createWebSocketDoor({ take, addressOf, isOpen, clock }: WebSocketDoorOptions): WebSocketDoor {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: largestFrame,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  })
  return {
    upgrade: (request, socket, head) => {
      socket.on('error', () => undefined)
      const refusal = refusalOf(request, isOpen())
      if (refusal !== undefined) {
        socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
        return
      }
      server.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => undefined)
        keepAlive(webSocket, clock)
        const bytes = createWebSocketStream(webSocket, {
          readableHighWaterMark: highWaterMark,
          writableHighWaterMark: highWaterMark,
        })
        // A half that is closed politely is waited for; a manager that has lost its right is not.
        bytes.once('close', () => webSocket.terminate())
        take(bytes, addressOf(request))
      })
    },
    stop: () => {
      for (const webSocket of server.clients) webSocket.terminate()
      server.close()
    },
  }
}

/** Status and reason; undefined: welcome. */
function refusalOf(request: IncomingMessage, isOpen: boolean): string | undefined {
  if (request.url?.split('?', 1)[0] !== path) return '404 Not Found'
  // A browser says where its page comes from; no manager does.
  if (request.headers.origin !== undefined) return '403 Forbidden'
  return isOpen ? undefined : '503 Service Unavailable'
}

function keepAlive(webSocket: WebSocket, clock: Pick<Clock, 'after'>): void {
  let isAlive = true
  let cancel: () => void = () => undefined
  const beat = (): void => {
    cancel = clock.after(pingEveryMs, () => {
      if (!isAlive) {
        webSocket.terminate()
        return
      }
      isAlive = false
      webSocket.ping()
      beat()
    })
  }
  webSocket.on('pong', () => (isAlive = true))
  webSocket.once('close', () => cancel())
  beat()
}
