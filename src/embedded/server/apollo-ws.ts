/**
 * The words of the older protocol, `graphql-ws` of Apollo's subscriptions-transport-ws, which Hasura also speaks with
 * whoever names no sub-protocol, several, or one that it does not know.
 */
import { payloadOf } from '../execution/hasura-error.ts'
import type { SocketProtocol } from './socket-protocol.ts'
import { closeReason } from './socket-protocol.ts'

export const apolloWs: SocketProtocol = {
  name: 'graphql-ws',
  acknowledge: '{"type":"connection_ack"}',
  keepAlive: '{"type":"ka"}',
  isStrict: false,
  pong: (payload) => JSON.stringify({ type: 'pong', payload }),
  next: (id, text) => `{"type":"data","id":${JSON.stringify(id)},"payload":${text}}`,
  complete: (id) => JSON.stringify({ type: 'complete', id }),
  startFailed: (id, error) => JSON.stringify({ type: 'error', id, payload: payloadOf(error) }),
  refused: (id, error) => JSON.stringify({ type: 'error', id, payload: { errors: [payloadOf(error)] } }),
  // What ran has an answer, if only an error.
  failed: (id, error) => JSON.stringify({ type: 'data', id, payload: { errors: [payloadOf(error)] } }),
  unauthorized: ({ message }) => ({
    message: JSON.stringify({ type: 'connection_error', payload: message }),
    code: 4400,
    reason: closeReason(4400, `Connection initialization failed: ${message}`),
  }),
  unreadable: (reason) =>
    JSON.stringify({ type: 'connection_error', payload: `parsing ClientMessage failed: ${reason}` }),
}
