/** Who a request is from, by its headers: those of HTTP, or those that a socket's first message bears. */
import { hash, timingSafeEqual } from 'node:crypto'

import type { Clock } from '../../lib/clock.ts'
import { MusterError } from '../../model/errors.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import { adminRole } from '../execution/session.ts'
import type { Headers } from './headers.ts'
import { single } from './headers.ts'
import { jwtAuthentication } from './jwt-authentication.ts'
import type { JwtOptions } from './jwt-options.ts'

/** @throws HasuraError `access-denied`, `invalid-headers`, `invalid-jwt`, `jwt-…` */
export type Authenticate = (headers: Headers) => Promise<Session>

export interface AuthenticationOptions {
  readonly adminSecret: string
  /** Counts as much, while the other takes its place. */
  readonly previousAdminSecret?: string | undefined
  readonly jwt?: JwtOptions | undefined
  /** The role of who has neither the secret nor a token; undefined refuses them. */
  readonly unauthorizedRole?: string | undefined
  readonly clock: Clock
}

/** `x-hasura-access-key` is the older name of the same header. */
const secretHeaders = ['x-hasura-admin-secret', 'x-hasura-access-key'] as const
const anyOfThem = secretHeaders.join('/')

/** @throws MusterError `config-invalid` for an unauthorized role that may do everything */
export function createAuthentication(options: AuthenticationOptions): Authenticate {
  const { jwt, unauthorizedRole } = options
  if (unauthorizedRole === adminRole) {
    throw new MusterError('config-invalid', 'HASURA_GRAPHQL_UNAUTHORIZED_ROLE: it cannot be admin')
  }
  const { adminSecret, previousAdminSecret = adminSecret } = options
  const bySecret = adminSecretAuthentication([adminSecret, previousAdminSecret])
  const byToken = jwt === undefined ? undefined : jwtAuthentication(jwt, options.clock)
  return async (headers) => {
    const session = bySecret(headers) ?? (await byToken?.(headers))
    if (session !== undefined) return session
    // Whoever proves nothing chooses nothing: neither a role nor variables.
    if (unauthorizedRole !== undefined) {
      return { role: unauthorizedRole, variables: { 'x-hasura-role': unauthorizedRole }, isBackend: false }
    }
    if (byToken === undefined) throw new HasuraError('access-denied', `${anyOfThem} required, but not found`)
    const words = "Missing 'Authorization' or 'Cookie' header in JWT authentication mode"
    throw new HasuraError('invalid-headers', words)
  }
}

/** With the secret, any role and any variables. Undefined without one. @throws HasuraError `access-denied` */
function adminSecretAuthentication(
  adminSecrets: readonly string[],
): (headers: Headers) => Session | undefined {
  const expected = adminSecrets.map(digest)
  return (headers) => {
    const given = secretHeaders.map((name) => single(headers[name])).find((value) => value !== undefined)
    if (given === undefined) return undefined
    // Digests are of one length, and their comparison takes one time, whatever was guessed.
    const found = digest(given)
    if (!expected.map((one) => timingSafeEqual(found, one)).includes(true))
      throw new HasuraError('access-denied', `invalid ${anyOfThem}`)
    const variables = Object.entries(headers).flatMap(([name, value]) => {
      const text = single(value)
      const isVariable = name.startsWith('x-hasura-') && !secretHeaders.some((secret) => secret === name)
      return isVariable && text !== undefined ? [[name, text] as const] : []
    })
    const role = single(headers['x-hasura-role']) ?? adminRole
    return {
      role,
      variables: { ...Object.fromEntries(variables), 'x-hasura-role': role },
      isBackend: single(headers['x-hasura-use-backend-only-permissions'])?.toLowerCase() === 'true',
    }
  }
}

const digest = (text: string): Buffer => hash('sha256', text, 'buffer')
