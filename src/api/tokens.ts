/**
 * Users' tokens: JWTs, whose algorithms are pinned to the kind of key that is configured, so that a public key can never
 * be taken for a shared secret. A token that was found good is remembered by its hash for a minute at most, since
 * checking one costs more than anything else that a request does on this side of the database.
 */
import { createSecretKey, hash } from 'node:crypto'

import { errors, jwtVerify } from 'jose'
import type { JWTPayload, JWTVerifyOptions } from 'jose'

import type { Clock } from '../lib/clock.ts'
import { createKeySet, KeySetUnavailable } from '../lib/key-set.ts'
import { MusterError } from '../model/errors.ts'
import { plainText } from './validation.ts'

/** HS256 with a secret, or a key set; and what a token must say. */
export type TokenRules = ({ readonly secret: string } | { readonly jwksUrl: string }) & {
  /** The `iss` of every token, letter by letter; any unless set. */
  readonly issuer?: string | undefined
  /** What `aud` must be, or hold; any unless set. */
  readonly audience?: string | undefined
  /** How old a token may grow, by its `iat`, in seconds; a day unless set. */
  readonly maxAgeS?: number | undefined
}

export interface Claims {
  readonly userId: string
  readonly role: string | undefined
}

interface Remembered {
  readonly claims: Claims
  /** Milliseconds since the epoch. */
  readonly until: number
}

const toleranceS = 30
const dayS = 86_400
const rememberForMs = 60_000
const mostRemembered = 10_000
const longestToken = 8_192
const userId = plainText(255)
const publicKeyAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

export class TokenVerifier {
  readonly #clock: Clock
  readonly #maxAgeS: number
  readonly #check: (token: string, now: Date) => Promise<JWTPayload>
  readonly #remembered = new Map<string, Remembered>()

  constructor(rules: TokenRules, clock: Clock) {
    this.#clock = clock
    this.#maxAgeS = rules.maxAgeS ?? dayS
    this.#check = createCheck(rules, this.#maxAgeS, clock)
  }

  /** What a token that was found good within the last minute says; undefined for every other. */
  recall(token: string): Claims | undefined {
    if (token.length > longestToken) return undefined
    const held = this.#remembered.get(keyOf(token))
    return held !== undefined && held.until > this.#clock.now() ? held.claims : undefined
  }

  /** @throws MusterError `unauthorized`, or `unavailable` when the key set cannot be fetched */
  async verify(token: string): Promise<Claims> {
    if (token.length > longestToken) throw unauthorized()
    const now = this.#clock.now()
    const payload = await this.#check(token, new Date(now)).catch((error: unknown) => {
      throw isKeySetFailure(error)
        ? new MusterError('unavailable', "the key set of users' tokens cannot be fetched", { cause: error })
        : unauthorized()
    })
    const { sub, exp, iat, role } = payload
    const isNamed = userId.safeParse(sub).success && sub !== undefined
    if (!isNamed || exp === undefined || iat === undefined) throw unauthorized()
    const claims: Claims = { userId: sub, role: typeof role === 'string' ? role : undefined }
    const endsAt = (Math.min(exp, iat + this.#maxAgeS) + toleranceS) * 1000
    this.#remember(keyOf(token), { claims, until: Math.min(endsAt, now + rememberForMs) })
    return claims
  }

  #remember(key: string, entry: Remembered): void {
    this.#remembered.delete(key)
    this.#remembered.set(key, entry)
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > mostRemembered && oldest !== undefined) this.#remembered.delete(oldest)
  }
}

/** The same words for every reason: the answer must not help anybody to guess. */
export function unauthorized(): MusterError {
  return new MusterError(
    'unauthorized',
    'a valid bearer token (or, for operators, the admin secret) is needed',
  )
}

const keyOf = (token: string): string => hash('sha256', token, 'base64url')

type Check = (token: string, now: Date) => Promise<JWTPayload>

function createCheck(rules: TokenRules, maxTokenAge: number, clock: Clock): Check {
  const { issuer, audience } = rules
  const demands: JWTVerifyOptions = {
    requiredClaims: ['sub', 'exp', 'iat'],
    clockTolerance: toleranceS,
    maxTokenAge,
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  }
  if ('secret' in rules) {
    const key = createSecretKey(Buffer.from(rules.secret))
    const algorithms = ['HS256']
    return async (token, currentDate) =>
      (await jwtVerify(token, key, { ...demands, algorithms, currentDate })).payload
  }
  const keys = createKeySet(rules.jwksUrl, clock)
  const algorithms = publicKeyAlgorithms
  return async (token, currentDate) =>
    (await jwtVerify(token, keys, { ...demands, algorithms, currentDate })).payload
}

/** What leaves open whether the token is good. */
function isKeySetFailure(error: unknown): boolean {
  return (
    error instanceof KeySetUnavailable ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid
  )
}
