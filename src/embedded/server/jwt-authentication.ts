/** Who a request is from, by the token that it bears. Nothing that its headers claim counts beside the token. */
import { errors, jwtVerify } from 'jose'
import type { JWTPayload, JWTVerifyOptions } from 'jose'

import type { Clock } from '../../lib/clock.ts'
import { createKeySet } from '../../lib/key-set.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import type { Headers } from './headers.ts'
import { single } from './headers.ts'
import { roleClaims } from './jwt-claims.ts'
import type { JwtOptions } from './jwt-options.ts'
import { keyOf, publicAlgorithms } from './jwt-options.ts'

/** Undefined for a request without a token. @throws HasuraError for one whose token is not good */
export type AuthenticateToken = (headers: Headers) => Promise<Session | undefined>

export function jwtAuthentication(options: JwtOptions, clock: Clock): AuthenticateToken {
  const verify = createVerify(options, clock)
  return async (headers) => {
    const token = tokenOf(headers, options.header)
    if (token === undefined) return undefined
    const payload = await verify(token, new Date(clock.now()))
    const { allowedRoles, defaultRole, variables } = roleClaims(payload, options)
    const role = single(headers['x-hasura-role']) ?? defaultRole
    if (!allowedRoles.includes(role)) {
      throw new HasuraError('access-denied', 'Your requested role is not in allowed roles')
    }
    return {
      role,
      variables: { ...variables, 'x-hasura-role': role },
      isBackend: false,
      ...(payload.exp === undefined ? {} : { expiresAt: (payload.exp + options.allowed_skew) * 1_000 }),
    }
  }
}

/** The one algorithm that is configured: a token does not choose how it is checked. */
function createVerify(options: JwtOptions, clock: Clock): (token: string, now: Date) => Promise<JWTPayload> {
  const { key, type, jwk_url: url } = options
  const demands: JWTVerifyOptions = {
    clockTolerance: options.allowed_skew,
    ...(options.audience === undefined ? {} : { audience: options.audience }),
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
  }
  const check = (): ((token: string, currentDate: Date) => Promise<JWTPayload>) => {
    if (key !== undefined && type !== undefined) {
      const known = keyOf(key, type)
      const algorithms = type === 'Ed25519' ? ['Ed25519', 'EdDSA'] : [type]
      return async (token, currentDate) =>
        (await jwtVerify(token, known, { ...demands, algorithms, currentDate })).payload
    }
    const keys = createKeySet(url ?? '', clock)
    const algorithms = type === undefined ? [...publicAlgorithms] : [type]
    return async (token, currentDate) =>
      (await jwtVerify(token, keys, { ...demands, algorithms, currentDate })).payload
  }
  const verified = check()
  return async (token, now) => {
    try {
      return await verified(token, now)
    } catch (error) {
      throw new HasuraError('invalid-jwt', `Could not verify JWT: ${reasonOf(error)}`, '$', error)
    }
  }
}

/** As the engine's library calls it. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'JWTExpired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return 'JWTNotInAudience'
    if (error.claim === 'iss') return 'JWTNotInIssuer'
    if (error.claim === 'nbf') return 'JWTNotYetValid'
    return 'JWTClaimsSetDecodeError'
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'JWSError JWSInvalidSignature'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'JWSError JWSNoValidSignatures'
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'JWSError NoUsableKeys'
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return 'JWSError (JSONDecodeError "not a JSON web token")'
  }
  return 'the key set cannot be had'
}

/** @throws HasuraError `invalid-headers` */
function tokenOf(headers: Headers, from: JwtOptions['header']): string | undefined {
  switch (from.type) {
    case 'Authorization': {
      const given = single(headers['authorization'])
      if (given === undefined) return undefined
      const token = /^\s*Bearer\s+(\S+)\s*$/i.exec(given)?.[1]
      if (token === undefined) throw new HasuraError('invalid-headers', 'Malformed Authorization header')
      return token
    }
    case 'Cookie': {
      const given = single(headers['cookie'])
      if (given === undefined) return undefined
      const pairs = given.split(';').map((pair) => pair.trim().split('='))
      const token = pairs.find(([name]) => name === from.name)?.[1]
      if (token === undefined) {
        throw new HasuraError('invalid-headers', `Could not find ${from.name} in Cookie header`)
      }
      return token
    }
    case 'CustomHeader':
      return single(headers[from.name.toLowerCase()])
  }
}
