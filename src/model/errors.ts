/**
 * Every error that a user may meet has one of these codes; docs/errors.md explains each, and a test compares the two.
 * The first block is what the HTTP API answers with.
 */
export const errorCodes = {
  'invalid-request': 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'region-not-enabled': 404,
  'method-not-allowed': 405,
  'version-mismatch': 409,
  'user-already-active': 409,
  conflict: 409,
  'payload-too-large': 413,
  'unsupported-media-type': 415,
  'rate-limited': 429,
  internal: 500,
  'no-capacity': 503,
  unavailable: 503,

  'config-invalid': 500,
  'port-in-use': 500,
  'data-directory-unusable': 500,
  'data-directory-locked': 500,
  'authority-unusable': 500,
  'schema-outdated': 500,
  'database-unavailable': 503,
  'database-denied': 500,
  'database-refused': 500,
  'algorithm-invalid': 500,
  'provider-unknown': 500,
} as const

export type ErrorCode = keyof typeof errorCodes

export class MusterError extends Error {
  override readonly name = 'MusterError'
  readonly code: ErrorCode
  /** Whether the same call may succeed later without anybody's doing. */
  readonly retryable: boolean
  /** Faults of an input, each with what to do about it. */
  readonly details: readonly string[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean; details?: readonly string[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? []
  }
}
