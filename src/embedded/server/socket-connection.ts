/**
 * One WebSocket, in whichever sub-protocol. Its ways are Hasura's (facts: its Server.hs): messages are handled one after
 * another, an identifier that is in use is an error and not a closed socket, and errors of a running subscription are
 * answers like any other, since it goes on. What one socket may ask to be kept is bounded: messages that wait, operations,
 * and bytes that it does not read.
 */
import { OperationTypeNode } from 'graphql'
import type { WebSocket } from 'ws'

import type { Clock } from '../../lib/clock.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import type { Authenticate } from './authentication.ts'
import type { Headers } from './headers.ts'
import type { ClientMessage } from './client-message.ts'
import { readClientMessage } from './client-message.ts'
import type { GraphqlService } from './graphql-service.ts'
import { errorText } from './graphql-service.ts'
import { createOutbox } from './outbox.ts'
import type { Farewell, SocketProtocol } from './socket-protocol.ts'
import { closeReason } from './socket-protocol.ts'

export interface SocketOptions {
  readonly authenticate: Authenticate
  readonly service: GraphqlService
  readonly clock: Clock
}

const keepAliveMs = 5_000
const initMs = 3_000
const mostOperations = 4_000
/** Messages that wait for those before them; then the socket is not read. */
const mostWaiting = 100

export function serveSocket(
  socket: WebSocket,
  upgradeHeaders: Headers,
  protocol: SocketProtocol,
  { authenticate, service, clock }: SocketOptions,
): void {
  /** Each with what stops it. */
  const operations = new Map<string, () => void>()
  const outbox = createOutbox(socket, clock)
  const { send } = outbox
  let session: Session | undefined
  let cancelKeepAlive = (): void => undefined
  let cancelExpiry = (): void => undefined
  const isOpen = (): boolean => socket.readyState === socket.OPEN

  const close = ({ message, code, reason }: Farewell): void => {
    if (message !== undefined) send(message)
    socket.close(code, reason)
  }
  const cancelInit = protocol.isStrict
    ? clock.after(initMs, () =>
        close({ code: 4408, reason: closeReason(4408, 'Connection initialisation timed out') }),
      )
    : () => undefined

  const startFailed = (id: string, words: string): void => {
    send(protocol.startFailed(id, new HasuraError('start-failed', words)))
    send(protocol.complete(id))
  }
  const keepAlive = (): void => {
    send(protocol.keepAlive)
    cancelKeepAlive()
    cancelKeepAlive = clock.after(keepAliveMs, keepAlive)
  }

  const initialise = async (payload: Readonly<Record<string, unknown>>): Promise<void> => {
    if (session !== undefined && protocol.isStrict) {
      close({ code: 4429, reason: closeReason(4429, 'Too many initialisation requests') })
      return
    }
    let by: Session
    try {
      const headers = { ...upgradeHeaders, ...headersOf(payload) }
      by = await authenticate(headers)
    } catch (error) {
      close(protocol.unauthorized(service.refusalOf(error)))
      return
    }
    if (!isOpen()) return
    session = by
    cancelInit()
    cancelExpiry()
    // As the engine does: the client connects again, with a token that is good.
    if (by.expiresAt !== undefined) {
      cancelExpiry = clock.after(Math.max(0, by.expiresAt - clock.now()), () => socket.terminate())
    }
    send(protocol.acknowledge)
    keepAlive()
  }

  const start = async (id: string, payload: unknown): Promise<void> => {
    if (operations.has(id)) {
      startFailed(id, `an operation already exists with this id: ${id}`)
    } else if (session === undefined) {
      startFailed(id, 'start received before the connection is initialised')
    } else if (operations.size >= mostOperations) {
      startFailed(id, `a connection has at most ${mostOperations} operations`)
    } else {
      await run(session, id, payload)
    }
  }

  /** Subscriptions go on by themselves; what gives one answer is waited for. */
  const run = async (by: Session, id: string, payload: unknown): Promise<void> => {
    let hasBegun = false
    const stopped = new AbortController()
    const isWanted = (): boolean => !stopped.signal.aborted
    try {
      const operation = service.read(by, payload)
      if (operation.kind === OperationTypeNode.SUBSCRIPTION) {
        const stop = service.follow(by, operation, {
          next: (text) => send(protocol.next(id, text)),
          error: (error) => send(protocol.next(id, errorText(error))),
          isBehind: outbox.isBehind,
        })
        operations.set(id, stop)
        return
      }
      operations.set(id, () => stopped.abort())
      hasBegun = true
      const answer = await service.run(by, operation)
      if (isWanted()) send(protocol.next(id, answer))
    } catch (error) {
      const refusal = service.refusalOf(error)
      if (isWanted()) send(hasBegun ? protocol.failed(id, refusal) : protocol.refused(id, refusal))
    }
    if (!isWanted()) return
    operations.delete(id)
    send(protocol.complete(id))
  }

  const stop = (id: string): boolean => {
    operations.get(id)?.()
    return operations.delete(id)
  }

  const handle = async (message: ClientMessage): Promise<void> => {
    // Nothing is begun for who is gone.
    if (!isOpen()) return
    if (message.kind === 'init') await initialise(message.payload)
    else if (message.kind === 'ping') send(protocol.pong(message.payload))
    else if (message.kind === 'stop') stop(message.id)
    else if (message.kind === 'terminate') close({ code: 1000, reason: 'GQL_CONNECTION_TERMINATE received' })
    else if (message.kind === 'start') await start(message.id, message.payload)
    await outbox.drained()
  }

  // One message after another: a mutation is done before the next is read. Only the end of what runs cannot wait.
  let last: Promise<void> = Promise.resolve()
  let waiting = 0
  const enqueue = (work: () => Promise<void>): void => {
    waiting += 1
    if (waiting === mostWaiting) socket.pause()
    last = last.then(work).then(() => {
      waiting -= 1
      if (waiting === mostWaiting / 2) socket.resume()
    })
  }
  socket.on('message', (data: Buffer) => {
    const message = readClientMessage(data.toString('utf8'))
    if (message.kind === 'unreadable') {
      enqueue(async () => {
        const answer = protocol.unreadable(message.reason)
        if (!isOpen()) return
        if (typeof answer === 'string') send(answer)
        else close(answer)
        await outbox.drained()
      })
    } else if (message.kind !== 'stop' || !stop(message.id)) {
      enqueue(() => handle(message))
    }
  })
  socket.on('close', () => {
    cancelInit()
    cancelKeepAlive()
    cancelExpiry()
    outbox.stop()
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
