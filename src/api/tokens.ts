/**
 * Users' tokens: JWTs, whose algorithms are pinned to the kind of key that is configured, so that a public key can never
 * be taken for a shared secret. A token that was found good is remembered by its hash for a minute at most, since
 * checking one costs more than anything else that a request does on this side of the database.
 */
import { createSecretKey, hash } from 'node:crypto'

import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'

import type { Clock } from '../lib/clock.ts'
import { MusterError } from '../model/errors.ts'
import { plainText } from './validation.ts'

/** HS256 with a secret, or a key set. */
export type TokenKey = { readonly secret: string } | { readonly jwksUrl: string }

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
  readonly #check: (token: string, now: Date) => Promise<JWTPayload>
  readonly #remembered = new Map<string, Remembered>()

  constructor(key: TokenKey, clock: Clock) {
    this.#clock = clock
    this.#check = 'secret' in key ? checkWithSecret(key.secret) : checkWithKeySet(key.jwksUrl)
  }

  /**
   * At once when the token is remembered.
   * @throws MusterError `unauthorized`, or `unavailable` when the key set cannot be fetched
   */
  verify(token: string): Claims | Promise<Claims> {
    if (token.length > longestToken) throw unauthorized()
    const key = hash('sha256', token, 'base64url')
    const held = this.#remembered.get(key)
    if (held !== undefined && held.until > this.#clock.now()) return held.claims
    return this.#verifyNew(token, key)
  }

  async #verifyNew(token: string, key: string): Promise<Claims> {
    const now = this.#clock.now()
    const payload = await this.#check(token, new Date(now)).catch((error: unknown) => {
      throw isKeySetFailure(error)
        ? new MusterError('unavailable', "the key set of users' tokens cannot be fetched", { cause: error })
        : unauthorized()
    })
    const { sub, exp, role } = payload
    if (!userId.safeParse(sub).success || sub === undefined || exp === undefined) throw unauthorized()
    const claims: Claims = { userId: sub, role: typeof role === 'string' ? role : undefined }
    this.#remember(key, { claims, until: Math.min((exp + toleranceS) * 1000, now + rememberForMs) })
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

function checkWithSecret(secret: string) {
  const key = createSecretKey(Buffer.from(secret))
  return async (token: string, currentDate: Date): Promise<JWTPayload> =>
    (await jwtVerify(token, key, { ...demands, algorithms: ['HS256'], currentDate })).payload
}

function checkWithKeySet(url: string) {
  const keys = createRemoteJWKSet(new URL(url), { timeoutDuration: 5_000, cooldownDuration: 30_000 })
  return async (token: string, currentDate: Date): Promise<JWTPayload> =>
    (await jwtVerify(token, keys, { ...demands, algorithms: publicKeyAlgorithms, currentDate })).payload
}

const demands = { requiredClaims: ['sub', 'exp'], clockTolerance: toleranceS }

/** jose has no error of its own for a key set that cannot be had: a failed fetch is a TypeError, a bad answer the bare JOSEError. */
function isKeySetFailure(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true
  if (error instanceof errors.JOSEError) return error.code === 'ERR_JOSE_GENERIC'
  return error instanceof TypeError && error.message === 'fetch failed'
}
