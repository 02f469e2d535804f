/** Who a request is from, by its headers: those of HTTP, or those that a socket's first message bears. */
import { createHash, timingSafeEqual } from 'node:crypto'

import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import { adminRole } from '../execution/session.ts'

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** @throws HasuraError `access-denied` */
export type Authenticate = (headers: Headers) => Session

/** `x-hasura-access-key` is the older name of the same header. */
const secretHeaders = ['x-hasura-admin-secret', 'x-hasura-access-key'] as const
const anyOfThem = secretHeaders.join('/')

export function adminSecretAuthentication(adminSecret: string): Authenticate {
  const expected = digest(adminSecret)
  return (headers) => {
    const given = secretHeaders.map((name) => single(headers[name])).find((value) => value !== undefined)
    if (given === undefined) throw new HasuraError('access-denied', `${anyOfThem} required, but not found`)
    // Digests are of one length, and their comparison takes one time, whatever was guessed.
    if (!timingSafeEqual(digest(given), expected))
      throw new HasuraError('access-denied', `invalid ${anyOfThem}`)
    const variables = Object.entries(headers).flatMap(([name, value]) => {
      const text = single(value)
      const isVariable = name.startsWith('x-hasura-') && !secretHeaders.some((secret) => secret === name)
      return isVariable && text !== undefined ? [[name, text] as const] : []
    })
    return {
      role: single(headers['x-hasura-role']) ?? adminRole,
      variables: Object.fromEntries(variables),
      isBackend: single(headers['x-hasura-use-backend-only-permissions'])?.toLowerCase() === 'true',
    }
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const single = (value: Headers[string]): string | undefined => (typeof value === 'object' ? value[0] : value)
