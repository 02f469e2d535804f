/** What a sub-protocol of GraphQL over WebSocket decides: how things are said. What is done is the same in all. */
import type { HasuraError } from '../execution/hasura-error.ts'

export type ClientMessage =
  | { readonly kind: 'init'; readonly payload: Readonly<Record<string, unknown>> }
  | { readonly kind: 'ping'; readonly payload: unknown }
  | { readonly kind: 'pong' }
  | { readonly kind: 'start'; readonly id: string; readonly payload: unknown }
  | { readonly kind: 'stop'; readonly id: string }

export interface SocketProtocol {
  /** As in `Sec-WebSocket-Protocol`. */
  readonly name: string
  /** Undefined for what is no message of the protocol. */
  read(text: string): ClientMessage | undefined
  readonly acknowledge: string
  readonly keepAlive: string
  pong(payload: unknown): string
  next(id: string, payload: string): string
  complete(id: string): string
  /** An operation that did not start, or did not end well. */
  refuse(id: string, error: HasuraError): readonly string[]
  /** How a socket with wrong credentials is closed. */
  readonly authCloseCode: number
  /** How one that says what cannot be read is closed. */
  readonly unreadableCloseCode: number
}
