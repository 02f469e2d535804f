/**
 * What an engine's errors mean for us. Only `extensions.code` counts, since texts differ between versions, but for two
 * that no code tells apart. HTTP's status says little: an engine answers 200 with errors, and what stands in front of it
 * answers in HTML.
 */
import type { ErrorCode } from '../model/errors.ts'

/** As much of an answer over HTTP as matters once it is no success. */
export interface FailedResponse {
  readonly status: number
  readonly errors?: readonly unknown[] | undefined
  /** The answer's text. */
  readonly body?: unknown
}

export interface Fault {
  readonly code: ErrorCode
  readonly retryable: boolean
  /** The engine's own code and words. */
  readonly words: string
}

/** What an engine says when the database behind it is away: tried again, never taken for an answer. */
const awayCodes = new Set([
  'unexpected',
  'postgres-error',
  'internal-error',
  'database-unavailable',
  'concurrent-update',
])
const denialCodes = new Set(['access-denied', 'invalid-headers', 'invalid-jwt', 'jwt-missing-role-claims'])
/** A table, column or function that is not tracked: as a field, or as the type of a variable. */
const unknownToSchema = /not found in type|no such type exists/

export function faultOf({ status, errors, body }: FailedResponse): Fault {
  const first = errors?.[0]
  if (first === undefined) return faultOfStatus(status, body)
  const { code, message } = readError(first)
  const words = `${code}: ${message}`
  if (denialCodes.has(code)) return { code: 'database-denied', retryable: false, words }
  if (code === 'validation-failed' && unknownToSchema.test(message)) {
    return { code: 'schema-outdated', retryable: false, words }
  }
  if (awayCodes.has(code) || status >= 500) return { code: 'database-unavailable', retryable: true, words }
  return { code: 'database-refused', retryable: false, words }
}

/** No GraphQL came back: a router, another program, or another path of the engine, whose errors have no `errors`. */
function faultOfStatus(status: number, body: unknown): Fault {
  const { code, message } = readError(parsedText(body))
  const words = `HTTP ${status}${message === '' ? '' : `: ${code}: ${message}`}`
  if (status === 401 || status === 403) return { code: 'database-denied', retryable: false, words }
  return { code: 'database-unavailable', retryable: true, words }
}

/** `{message, extensions: {code}}`, or the older `{error, code}`. */
function readError(error: unknown): { code: string; message: string } {
  if (typeof error !== 'object' || error === null) return { code: 'unexpected', message: '' }
  const given = error as Record<string, unknown>
  const extensions = given['extensions'] as Record<string, unknown> | null | undefined
  const code = extensions?.['code'] ?? given['code']
  const message = given['message'] ?? given['error']
  return {
    code: typeof code === 'string' ? code : 'unexpected',
    message: typeof message === 'string' ? message : '',
  }
}

function parsedText(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : text
  } catch {
    return undefined
  }
}

/** Why a subscription's socket ended, in words, and whether another try with the same secret is of no use. */
export function endOfSocket(error: unknown, wasAcknowledged: boolean): { why: string; isDenied: boolean } {
  if (Array.isArray(error)) {
    const faults = error.map((one) => readError(one))
    return {
      why: faults.map(({ code, message }) => `${code}: ${message}`).join('; '),
      isDenied: faults.some(({ code }) => denialCodes.has(code)),
    }
  }
  if (error instanceof Error) return { why: error.message, isDenied: false }
  if (typeof error !== 'object' || error === null || !('code' in error)) {
    // Node's own socket does not say whether it was refused, cut or answered by something else.
    return { why: 'the socket could not be opened, or broke', isDenied: false }
  }
  // 4403 since about 2.17, 4400 before; of an engine that has acknowledged us, 4400 is about a message.
  const isDenied = error.code === 4401 || error.code === 4403 || (error.code === 4400 && !wasAcknowledged)
  const reason = 'reason' in error && typeof error.reason === 'string' ? closeReason(error.reason) : ''
  const closed = `the socket closed (${String(error.code)}${reason === '' ? '' : ` ${reason}`})`
  return {
    why: isDenied ? `the engine refuses HASURA_GRAPHQL_ADMIN_SECRET: ${closed}` : closed,
    isDenied,
  }
}

/** Hasura's reasons are JSON: `{"server_error_msg":"4403: …"}`. */
function closeReason(reason: string): string {
  const parsed = parsedText(reason)
  if (typeof parsed !== 'object' || parsed === null || !('server_error_msg' in parsed)) return reason
  return String(parsed.server_error_msg).replace(/^\d{4}: /, '')
}
