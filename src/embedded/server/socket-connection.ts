/**
 * One WebSocket, in whichever sub-protocol. Its ways are Hasura's (facts: its Server.hs): messages are handled one after
 * another, an identifier that is in use is an error and not a closed socket, and errors of a running subscription are
 * answers like any other, since it goes on.
 */
import { OperationTypeNode } from 'graphql'
import type { WebSocket } from 'ws'

import type { Clock } from '../../lib/clock.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import type { Authenticate, Headers } from './authentication.ts'
import type { GraphqlService } from './graphql-service.ts'
import { errorText } from './graphql-service.ts'
import type { ClientMessage, SocketProtocol } from './socket-protocol.ts'

export interface SocketOptions {
  readonly authenticate: Authenticate
  readonly service: GraphqlService
  readonly clock: Clock
}

const keepAliveMs = 5_000
const initMs = 3_000
/** Bytes that may wait for a slow reader before it is told less often, and before it is given up. */
const manyWaiting = 1024 * 1024
const mostWaiting = 64 * manyWaiting

export function serveSocket(
  socket: WebSocket,
  upgradeHeaders: Headers,
  protocol: SocketProtocol,
  { authenticate, service, clock }: SocketOptions,
): void {
  /** Each with what stops it. */
  const operations = new Map<string, () => void>()
  let session: Session | undefined
  let cancelTimer = clock.after(initMs, () => close(4408, 'Connection initialisation timed out'))

  const send = (message: string): void => {
    if (socket.readyState !== socket.OPEN) return
    if (socket.bufferedAmount > mostWaiting) socket.terminate()
    else socket.send(message)
  }
  const close = (code: number, reason: string): void => {
    const text = JSON.stringify({ server_error_msg: `${code}: ${reason}` })
    // A close frame holds 123 bytes of reason.
    socket.close(code, Buffer.byteLength(text) > 123 ? '' : text)
  }
  const refuse = (id: string, error: unknown): void => {
    for (const message of protocol.refuse(id, hasuraErrorOf(error))) send(message)
  }
  const keepAlive = (): void => {
    send(protocol.keepAlive)
    cancelTimer = clock.after(keepAliveMs, keepAlive)
  }

  const initialise = (payload: Readonly<Record<string, unknown>>): void => {
    try {
      session = authenticate({ ...upgradeHeaders, ...headersOf(payload) })
    } catch (error) {
      close(protocol.authCloseCode, hasuraErrorOf(error).message)
      return
    }
    cancelTimer()
    send(protocol.acknowledge)
    keepAlive()
  }

  /** Subscriptions go on by themselves; what gives one answer is waited for. */
  const start = async (by: Session, id: string, payload: unknown): Promise<void> => {
    const operation = service.read(by, payload)
    if (operation.kind === OperationTypeNode.SUBSCRIPTION) {
      const stop = service.follow(by, operation, {
        next: (text) => send(protocol.next(id, text)),
        error: (error) => send(protocol.next(id, errorText(error))),
        isBehind: () => socket.bufferedAmount > manyWaiting,
      })
      operations.set(id, stop)
      return
    }
    const stopped = new AbortController()
    operations.set(id, () => stopped.abort())
    const answer = await service.run(by, operation)
    if (stopped.signal.aborted) return
    operations.delete(id)
    send(protocol.next(id, answer))
    send(protocol.complete(id))
  }

  const stop = (id: string): boolean => {
    operations.get(id)?.()
    return operations.delete(id)
  }

  const handle = async (message: ClientMessage): Promise<void> => {
    if (message.kind === 'init') {
      if (session === undefined) initialise(message.payload)
      else close(4429, 'Too many initialisation requests')
    } else if (message.kind === 'ping') {
      send(protocol.pong(message.payload))
    } else if (message.kind === 'stop') {
      stop(message.id)
    } else if (message.kind === 'start') {
      const { id } = message
      if (session === undefined) {
        refuse(id, new HasuraError('start-failed', 'start received before the connection is initialised'))
      } else if (operations.has(id)) {
        refuse(id, new HasuraError('start-failed', `an operation already exists with this id: ${id}`))
      } else {
        await start(session, id, message.payload).catch((error: unknown) => refuse(id, error))
      }
    }
  }

  // One message after another: a mutation is done before the next is read. Only the end of what runs cannot wait.
  let last: Promise<void> = Promise.resolve()
  socket.on('message', (data: Buffer, isBinary) => {
    const message = isBinary ? undefined : protocol.read(data.toString('utf8'))
    if (message === undefined) close(protocol.unreadableCloseCode, 'parsing ClientMessage failed')
    else if (message.kind !== 'stop' || !stop(message.id)) last = last.then(() => handle(message))
  })
  socket.on('close', () => {
    cancelTimer()
    for (const id of operations.keys()) stop(id)
  })
  // A broken frame or a reset: `close` follows.
  socket.on('error', () => undefined)
}

/** `{"headers": {…}}`; names are compared in lower case, as HTTP's are. */
function headersOf({ headers }: Readonly<Record<string, unknown>>): Headers {
  if (typeof headers !== 'object' || headers === null) return {}
  const texts = Object.entries(headers).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts.map(([name, value]) => [name.toLowerCase(), value]))
}
