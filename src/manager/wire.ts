import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'

import { createWebSocketStream, WebSocket } from 'ws'

import type { DaemonAddress } from './daemon-address.ts'

/** What one frame may hold: many times a TLS record. */
const largestFrame = 1024 * 1024

export interface WireOptions {
  /** Until it is open, milliseconds. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * A stream of bytes to a daemon, open: a TCP connection, or the binary frames of a WebSocket. It proves nothing about who
 * is there: TLS inside it does.
 */
export function openWire(address: DaemonAddress, options: WireOptions): Promise<Duplex> {
  return address.kind === 'tcp' ? openTcp(address, options) : openWebSocket(address.url, options)
}

function openTcp(
  { host, port }: { readonly host: string; readonly port: number },
  options: WireOptions,
): Promise<Duplex> {
  const socket = connectTcp({ host, port, noDelay: true })
  return opened(socket, (onOpen) => socket.once('connect', onOpen), options)
}

function openWebSocket(url: string, options: WireOptions): Promise<Duplex> {
  const webSocket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: largestFrame,
    handshakeTimeout: options.timeoutMs,
  })
  // Pauses the WebSocket while its reader is slow, and the writer while the WebSocket is.
  const stream = createWebSocketStream(webSocket)
  return opened(stream, (onOpen) => webSocket.once('open', onOpen), options)
}

/** Never left half-open: whoever does not get the stream finds it destroyed. */
function opened(
  stream: Duplex,
  listen: (onOpen: () => void) => void,
  { timeoutMs, signal }: WireOptions,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => stream.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const abort = (): void => void stream.destroy(new Error('stopped'))
    const fail = (error?: Error): void => {
      settle()
      reject(error ?? new Error('it was closed at once'))
    }
    const settle = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      stream.off('close', fail)
    }
    stream.once('error', fail)
    stream.once('close', fail)
    listen(() => {
      settle()
      resolve(stream)
    })
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
