/** What a sub-protocol of GraphQL over WebSocket decides: how things are said. What is done is the same in both. */
import type { HasuraError } from '../execution/hasura-error.ts'

/** How a socket ends, with what is said before. */
export interface Farewell {
  readonly message?: string
  readonly code: number
  readonly reason: string
}

export interface SocketProtocol {
  /** As in `Sec-WebSocket-Protocol`. */
  readonly name: 'graphql-ws' | 'graphql-transport-ws'
  readonly acknowledge: string
  readonly keepAlive: string
  /** Whether a socket that does not say who it is is closed, and one that says it twice. */
  readonly isStrict: boolean
  pong(payload: unknown): string
  next(id: string, payload: string): string
  complete(id: string): string
  /** An operation that was not looked at: its id is in use, or nobody has said who asks. `complete` follows. */
  startFailed(id: string, error: HasuraError): string
  /** An operation that the schema or the service refuses. `complete` follows. */
  refused(id: string, error: HasuraError): string
  /** A query or mutation that failed. `complete` follows. */
  failed(id: string, error: HasuraError): string
  /** Wrong credentials. */
  unauthorized(error: HasuraError): Farewell
  /** What is no message: an answer, or the end. */
  unreadable(reason: string): string | Farewell
}

/** A close frame has room for so many bytes of reason. */
const mostReasonBytes = 123

/** The reason of a close frame as the engine writes it, cut where it would not fit. */
export function closeReason(code: number, words: string): string {
  const whole = JSON.stringify({ server_error_msg: `${code}: ${words}` })
  const surplus = Buffer.byteLength(whole) - mostReasonBytes
  if (surplus <= 0) return whole
  // Every character cut makes the reason at least one byte shorter.
  return closeReason(code, Array.from(words).slice(0, -surplus).join(''))
}
