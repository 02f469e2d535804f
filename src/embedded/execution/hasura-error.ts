/** An error as Hasura tells it: a stable code, the place in the request, and words that a client may see. */
export type HasuraErrorCode =
  | 'access-denied'
  | 'bad-request'
  | 'concurrent-update'
  | 'constraint-error'
  | 'constraint-violation'
  | 'data-exception'
  | 'invalid-headers'
  | 'invalid-json'
  | 'invalid-jwt'
  | 'jwt-invalid-claims'
  | 'jwt-missing-role-claims'
  | 'not-found'
  | 'not-supported'
  | 'parse-failed'
  | 'permission-error'
  | 'postgres-error'
  | 'start-failed'
  | 'unexpected'
  | 'validation-failed'

export class HasuraError extends Error {
  override readonly name = 'HasuraError'
  readonly code: HasuraErrorCode
  /** Like `$.selectionSet.hosts.args.where`. */
  readonly path: string

  constructor(code: HasuraErrorCode, message: string, path = '$', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.path = path
  }
}

export interface ErrorPayload {
  readonly message: string
  readonly extensions: { readonly path: string; readonly code: HasuraErrorCode }
}

export const payloadOf = ({ message, path, code }: HasuraError): ErrorPayload => ({
  message,
  extensions: { path, code },
})
