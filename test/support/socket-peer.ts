/** A bare WebSocket that hears and says what a test wants: real clients are too polite to try a protocol's edges. */
import WebSocket from 'ws'

import { adminSecret } from './an-endpoint.ts'
import { eventually } from './eventually.ts'

export type Heard = Readonly<Record<string, unknown>>

export interface SocketPeer {
  readonly heard: Heard[]
  /** What the handshake chose; empty for nothing. */
  readonly protocol: string
  readonly closed: { readonly code: number; readonly reason: string } | undefined
  readonly socket: WebSocket
  say(message: unknown): void
  /** All of a type, once there are so many. */
  hears(type: string, count?: number): Promise<readonly Heard[]>
  closes(): Promise<{ readonly code: number; readonly reason: string }>
  end(): void
}

export const newProtocol = 'graphql-transport-ws'
export const oldProtocol = 'graphql-ws'

export const init = {
  type: 'connection_init',
  payload: { headers: { 'x-hasura-admin-secret': adminSecret } },
}

/** Connected when it gives itself. @throws Error when the handshake fails */
export async function connectPeer(
  url: string,
  protocols: string | readonly string[] = newProtocol,
  headers: Readonly<Record<string, string>> = {},
): Promise<SocketPeer> {
  const offered = typeof protocols === 'string' ? protocols : [...protocols]
  const socket = new WebSocket(url.replace('http', 'ws'), offered, { headers })
  const heard: Heard[] = []
  let closed: SocketPeer['closed']
  let failure: Error | undefined
  socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as Heard))
  socket.on('close', (code, reason) => (closed = { code, reason: reason.toString() }))
  socket.on('error', (error) => (failure ??= error))
  await eventually(() => socket.readyState !== WebSocket.CONNECTING)
  if (failure !== undefined) throw failure
  return {
    heard,
    socket,
    get protocol() {
      return socket.protocol
    },
    get closed() {
      return closed
    },
    say: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    hears: async (type, count = 1) => {
      const ofType = () => heard.filter((message) => message['type'] === type)
      await eventually(() => ofType().length >= count, {
        what: `${count} of ${type}, of ${JSON.stringify(heard).slice(0, 2_000)}`,
      })
      return ofType()
    },
    closes: () => eventually(() => closed, { what: 'the socket is closed' }),
    end: () => socket.terminate(),
  }
}
