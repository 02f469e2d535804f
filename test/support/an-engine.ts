/**
 * A GraphQL engine that does what the test says, in the words of a real one: HTTP, and graphql-transport-ws as Hasura
 * speaks it (its pings, close codes and errors are from its sources).
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'

export interface EngineAnswer {
  readonly status?: number
  /** JSON, or a text as it is. */
  readonly body: unknown
}

export interface Asked {
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, unknown>>
}

/** One `subscribe` of a client. */
export interface Subscription {
  readonly variables: Readonly<Record<string, unknown>>
  readonly query: string
  readonly next: (payload: unknown) => void
  /** As Hasura does: the errors, and then that it is complete. */
  readonly fail: (errors: readonly unknown[]) => void
  readonly complete: () => void
  /** Ends the connection: with a close code, or with none at all. */
  readonly close: (code?: number, reason?: string) => void
}

export interface EngineScript {
  /** Answers a request over HTTP. */
  readonly answer?: (asked: Asked) => EngineAnswer | Promise<EngineAnswer>
  /** What to do with `connection_init`: a close code refuses it. Acknowledged unless said otherwise. */
  readonly admit?: (payload: unknown) => { readonly code: number; readonly reason: string } | undefined
  readonly onSubscribe?: (subscription: Subscription) => void
}

export interface Engine {
  /** `http://127.0.0.1:port/v1/graphql` */
  readonly url: string
  readonly subscriptions: readonly Subscription[]
  /** Sockets that have been opened so far. */
  readonly connections: number
  close(): void
}

const nothing: EngineAnswer = { body: { data: {} } }

export async function anEngine({
  answer = () => nothing,
  admit,
  onSubscribe,
}: EngineScript): Promise<Engine> {
  const subscriptions: Subscription[] = []
  let connections = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const { query = '', variables = {} } = JSON.parse(text === '' ? '{}' : text) as Partial<Asked>
      void Promise.resolve(answer({ query, variables, headers: request.headers })).then(
        ({ status = 200, body }) => {
          const type = typeof body === 'string' ? 'text/html' : 'application/json'
          response.writeHead(status, { 'content-type': type })
          response.end(typeof body === 'string' ? body : JSON.stringify(body))
        },
      )
    })
  })
  const sockets = new WebSocketServer({
    server,
    handleProtocols: (offered) => (offered.has('graphql-transport-ws') ? 'graphql-transport-ws' : false),
  })
  sockets.on('connection', (socket) => {
    connections += 1
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string; id: string; payload?: unknown }
      const send = (type: string, rest: object = {}) => socket.send(JSON.stringify({ type, ...rest }))
      if (message.type === 'connection_init') {
        const refusal = admit?.(message.payload)
        if (refusal !== undefined) {
          socket.close(refusal.code, refusal.reason)
          return
        }
        send('connection_ack')
        send('ping', { payload: { message: 'keepalive' } })
      }
      if (message.type === 'ping') send('pong', { payload: message.payload })
      if (message.type !== 'subscribe') return
      const subscription = toSubscription(socket, message.id, message.payload as Asked, send)
      subscriptions.push(subscription)
      onSubscribe?.(subscription)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/graphql`,
    subscriptions,
    get connections() {
      return connections
    },
    close: () => {
      for (const client of sockets.clients) client.terminate()
      server.closeAllConnections()
      server.close()
    },
  }
}

function toSubscription(
  socket: WebSocket,
  id: string,
  { query, variables }: Asked,
  send: (type: string, rest: object) => void,
): Subscription {
  return {
    query,
    variables,
    next: (payload) => send('next', { id, payload }),
    fail: (errors) => {
      send('error', { id, payload: errors })
      send('complete', { id })
    },
    complete: () => send('complete', { id }),
    close: (code, reason) => {
      if (code === undefined) socket.terminate()
      else socket.close(code, reason)
    },
  }
}
