/**
 * The `graphql-transport-ws` protocol as Hasura speaks it (facts: its Server.hs), one connection at a time. What differs
 * from the protocol's own rules is Hasura's: `error` is followed by `complete`, an identifier that is in use is an
 * error and not a closed socket, errors of a running subscription come as `next`, and the server pings.
 */
import type { WebSocket } from 'ws'
import { z } from 'zod'

import type { Clock } from '../../lib/clock.ts'
import type { HasuraError } from '../execution/hasura-error.ts'
import { HasuraError as Refusal, payloadOf } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import { parseExactJson } from '../schema/exact-json.ts'
import type { Authenticate, Headers } from './authentication.ts'
import type { GraphqlService } from './graphql-service.ts'
import { errorText } from './graphql-service.ts'

export const transportProtocol = 'graphql-transport-ws'

export interface SocketOptions {
  readonly authenticate: Authenticate
  readonly service: GraphqlService
  readonly clock: Clock
  /** The code that closes a socket with wrong credentials: engines until 2.16 say 4400. */
  readonly authCloseCode: 4400 | 4403
}

const keepAliveMs = 5_000
const initMs = 3_000
/** Bytes that may wait for a slow reader before it is told less often. */
const mostWaiting = 1024 * 1024

const messageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('connection_init'), payload: z.record(z.string(), z.unknown()).nullish() }),
  z.object({ type: z.literal('ping'), payload: z.unknown().optional() }),
  z.object({ type: z.literal('pong'), payload: z.unknown().optional() }),
  z.object({ type: z.literal('subscribe'), id: z.string(), payload: z.unknown() }),
  z.object({ type: z.literal('complete'), id: z.string() }),
])
type Message = z.output<typeof messageSchema>

export function serveTransportWs(socket: WebSocket, upgradeHeaders: Headers, options: SocketOptions): void {
  const { authenticate, service, clock } = options
  const operations = new Map<string, () => void>()
  let session: Session | undefined
  let cancelTimer = clock.after(initMs, () => close(4408, 'Connection initialisation timed out'))

  const send = (message: string): void => {
    if (socket.readyState === socket.OPEN) socket.send(message)
  }
  const close = (code: number, reason: string): void => {
    const text = JSON.stringify({ server_error_msg: `${code}: ${reason}` })
    // A close frame holds 123 bytes of reason.
    socket.close(code, Buffer.byteLength(text) > 123 ? reason.slice(0, 100) : text)
  }
  const next = (id: string, payload: string): void =>
    send(`{"type":"next","id":${JSON.stringify(id)},"payload":${payload}}`)
  const complete = (id: string): void => send(JSON.stringify({ type: 'complete', id }))
  const refuse = (id: string, error: HasuraError): void => {
    send(JSON.stringify({ type: 'error', id, payload: [payloadOf(error)] }))
    complete(id)
  }
  const keepAlive = (): void => {
    send('{"type":"ping","payload":{"message":"keepalive"}}')
    cancelTimer = clock.after(keepAliveMs, keepAlive)
  }

  const initialise = (payload: Readonly<Record<string, unknown>>): void => {
    const headers = { ...upgradeHeaders, ...headersOf(payload) }
    try {
      session = authenticate(headers)
    } catch (error) {
      close(options.authCloseCode, hasuraErrorOf(error).message)
      return
    }
    cancelTimer()
    send('{"type":"connection_ack"}')
    keepAlive()
  }

  const start = async (id: string, payload: unknown): Promise<void> => {
    if (session === undefined) {
      refuse(id, new Refusal('unexpected', 'start received before the connection is initialised')); return;
    }
    if (operations.has(id)) {
      refuse(id, new Refusal('unexpected', `an operation already exists with this id: ${id}`)); return;
    }
    try {
      const operation = service.read(session, payload)
      if (operation.kind === 'subscription') {
        const stop = service.follow(session, operation, {
          next: (text) => next(id, text),
          error: (error) => next(id, errorText(error)),
          isBehind: () => socket.bufferedAmount > mostWaiting,
        })
        operations.set(id, stop)
        return
      }
      let isWanted = true
      operations.set(id, () => (isWanted = false))
      const answer = await service.run(session, operation)
      if (!isWanted) return
      operations.delete(id)
      next(id, answer)
      complete(id)
    } catch (error) {
      operations.delete(id)
      refuse(id, hasuraErrorOf(error))
    }
  }

  const handle = async (message: Message): Promise<void> => {
    switch (message.type) {
      case 'connection_init':
        if (session !== undefined) { close(4429, 'Too many initialisation requests'); return; }
        { initialise(message.payload ?? {}); return; }
      case 'ping':
        { send(JSON.stringify({ type: 'pong', payload: message.payload })); return; }
      case 'pong':
        return
      case 'subscribe':
        { await start(message.id, message.payload); return; }
      case 'complete':
        operations.get(message.id)?.()
        operations.delete(message.id)
    }
  }

  // One message after another, as the engine does: a mutation is done before the next is read.
  let last: Promise<void> = Promise.resolve()
  socket.on('message', (data: Buffer, isBinary) => {
    const message = isBinary ? undefined : messageOf(data.toString('utf8'))
    if (message === undefined) { close(4400, 'parsing ClientMessage failed'); return; }
    // What ends an operation may not wait for it.
    last = message.type === 'complete' ? handle(message) : last.then(() => handle(message))
  })
  socket.on('close', () => {
    cancelTimer()
    for (const stop of operations.values()) stop()
    operations.clear()
  })
  // A broken frame or a reset: `close` follows.
  socket.on('error', () => undefined)
}

function messageOf(text: string): Message | undefined {
  try {
    return messageSchema.safeParse(parseExactJson(text)).data
  } catch {
    return undefined
  }
}

/** `{"headers": {…}}`; names are compared in lower case, as HTTP's are. */
function headersOf(payload: Readonly<Record<string, unknown>>): Headers {
  const { headers } = payload
  if (typeof headers !== 'object' || headers === null) return {}
  const texts = Object.entries(headers).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts.map(([name, value]) => [name.toLowerCase(), value]))
}
