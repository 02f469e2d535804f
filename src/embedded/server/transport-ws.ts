/**
 * The words of `graphql-transport-ws`, with Hasura's two liberties: `error` is followed by `complete`, and the server's
 * pings bear a payload.
 */
import { payloadOf } from '../execution/hasura-error.ts'
import type { HasuraError } from '../execution/hasura-error.ts'
import type { SocketProtocol } from './socket-protocol.ts'
import { closeReason } from './socket-protocol.ts'

/** `authCloseCode`: engines until 2.16 say 4400, later ones 4403. */
export function transportWs(authCloseCode: 4400 | 4403): SocketProtocol {
  const failure = (id: string, error: HasuraError): string =>
    JSON.stringify({ type: 'error', id, payload: [payloadOf(error)] })
  return {
    name: 'graphql-transport-ws',
    acknowledge: '{"type":"connection_ack"}',
    keepAlive: '{"type":"ping","payload":{"message":"keepalive"}}',
    isStrict: true,
    pong: (payload) => JSON.stringify({ type: 'pong', payload }),
    next: (id, text) => `{"type":"next","id":${JSON.stringify(id)},"payload":${text}}`,
    complete: (id) => JSON.stringify({ type: 'complete', id }),
    startFailed: failure,
    refused: failure,
    failed: failure,
    unauthorized: ({ message }) => ({
      code: authCloseCode,
      reason: closeReason(
        authCloseCode,
        authCloseCode === 4403 ? 'Forbidden' : `Connection initialization failed: ${message}`,
      ),
    }),
    unreadable: (reason) => ({
      code: 4400,
      reason: closeReason(4400, `Parsing client message failed: ${reason}`),
    }),
  }
}
