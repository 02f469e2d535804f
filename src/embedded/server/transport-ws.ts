/**
 * The words of `graphql-transport-ws`, with Hasura's two liberties: `error` is followed by `complete`, and the server's
 * pings bear a payload.
 */
import { z } from 'zod'

import { payloadOf } from '../execution/hasura-error.ts'
import { parseExactJson } from '../schema/exact-json.ts'
import type { ClientMessage, SocketProtocol } from './socket-protocol.ts'

const id = z.string()
// Most clients ping without one.
const payload = z.unknown().optional()
const messageSchema = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('connection_init'), payload: z.record(z.string(), z.unknown()).nullish() }),
    z.object({ type: z.literal('ping'), payload }),
    z.object({ type: z.literal('pong'), payload }),
    z.object({ type: z.literal('subscribe'), id, payload }),
    z.object({ type: z.literal('complete'), id }),
  ])
  .transform((message): ClientMessage => {
    switch (message.type) {
      case 'connection_init':
        return { kind: 'init', payload: message.payload ?? {} }
      case 'ping':
        return { kind: 'ping', payload: message.payload }
      case 'pong':
        return { kind: 'pong' }
      case 'subscribe':
        return { kind: 'start', id: message.id, payload: message.payload }
      case 'complete':
        return { kind: 'stop', id: message.id }
    }
  })

/** `authCloseCode`: engines until 2.16 say 4400, later ones 4403. */
export function transportWs(authCloseCode: 4400 | 4403): SocketProtocol {
  const complete = (of: string): string => JSON.stringify({ type: 'complete', id: of })
  return {
    name: 'graphql-transport-ws',
    read: (text) => {
      try {
        return messageSchema.safeParse(parseExactJson(text)).data
      } catch {
        return undefined
      }
    },
    acknowledge: '{"type":"connection_ack"}',
    keepAlive: '{"type":"ping","payload":{"message":"keepalive"}}',
    pong: (given) => JSON.stringify({ type: 'pong', payload: given }),
    next: (of, text) => `{"type":"next","id":${JSON.stringify(of)},"payload":${text}}`,
    complete,
    refuse: (of, error) => [
      JSON.stringify({ type: 'error', id: of, payload: [payloadOf(error)] }),
      complete(of),
    ],
    authCloseCode,
    unreadableCloseCode: 4400,
  }
}
