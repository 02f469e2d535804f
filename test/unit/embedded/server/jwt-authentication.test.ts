import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'

import { createAuthentication } from '../../../../src/embedded/server/authentication.ts'
import { readJwtOptions } from '../../../../src/embedded/server/jwt-options.ts'
import { TestClock } from '../../../support/test-clock.ts'

const secret = 'a key of at least thirty-two bytes'
const hour = 3_600
const nowS = 1_800_000_000
const claims = {
  'x-hasura-allowed-roles': ['viewer', 'operator'],
  'x-hasura-default-role': 'viewer',
  'X-Hasura-User-Id': '7',
}
const namespaced = { 'https://hasura.io/jwt/claims': claims }

interface TokenOptions {
  readonly key?: Uint8Array | KeyObject
  readonly alg?: string
  readonly exp?: number | null
  readonly aud?: string
}
async function aToken(payload: Record<string, unknown> = namespaced, options: TokenOptions = {}) {
  const { key = Buffer.from(secret), alg = 'HS256', exp = nowS + hour, aud } = options
  const token = new SignJWT(payload).setProtectedHeader({ alg })
  if (exp !== null) token.setExpirationTime(exp)
  if (aud !== undefined) token.setAudience(aud)
  return await token.sign(key)
}
const authenticationOf = (options: Record<string, unknown>, unauthorizedRole?: string) =>
  createAuthentication({
    adminSecret: 'admin secret',
    jwt: readJwtOptions(JSON.stringify(options)),
    unauthorizedRole,
    clock: new TestClock(nowS * 1_000),
  })
const hs256 = { type: 'HS256', key: secret }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('a token', () => {
  const authenticate = authenticationOf(hs256)

  it('says the role, the variables and when they end', async () => {
    expect(await authenticate(bearer(await aToken()))).toEqual({
      role: 'viewer',
      variables: { 'x-hasura-role': 'viewer', 'x-hasura-user-id': '7' },
      isBackend: false,
      expiresAt: (nowS + hour) * 1_000,
    })
  })

  it('lets its bearer choose among its roles, and nothing else', async () => {
    const headers = {
      ...bearer(await aToken(namespaced, { exp: null })),
      'x-hasura-role': 'operator',
      'x-hasura-user-id': '8',
      'x-hasura-tenant': 'other',
      'x-hasura-use-backend-only-permissions': 'true',
    }
    expect(await authenticate(headers)).toEqual({
      role: 'operator',
      variables: { 'x-hasura-role': 'operator', 'x-hasura-user-id': '7' },
      isBackend: false,
    })
    await expect(authenticate({ ...headers, 'x-hasura-role': 'admin' })).rejects.toMatchObject({
      code: 'access-denied',
      message: 'Your requested role is not in allowed roles',
    })
  })

  it('is not asked for beside the admin secret, and does not make up for a wrong one', async () => {
    expect(await authenticate({ 'x-hasura-admin-secret': 'admin secret' })).toMatchObject({ role: 'admin' })
    const both = { ...bearer(await aToken()), 'x-hasura-admin-secret': 'guess' }
    await expect(authenticate(both)).rejects.toMatchObject({ code: 'access-denied' })
  })

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' })
  const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  it.each<[string, () => Promise<string>, string, RegExp]>([
    [
      'expired',
      () => aToken(namespaced, { exp: nowS - 1 }),
      'invalid-jwt',
      /^Could not verify JWT: JWTExpired$/,
    ],
    [
      'signed by another',
      () => aToken(namespaced, { key: Buffer.from('x'.repeat(32)) }),
      'invalid-jwt',
      /Signature/,
    ],
    [
      'of another algorithm',
      () => aToken(namespaced, { alg: 'HS384', key: Buffer.from(secret.repeat(2)) }),
      'invalid-jwt',
      /NoValidSignatures/,
    ],
    [
      'without a signature',
      async () => `${base64({ alg: 'none' })}.${base64(namespaced)}.`,
      'invalid-jwt',
      /^Could not verify JWT: /,
    ],
    ['malformed', async () => 'abc', 'invalid-jwt', /^Could not verify JWT: /],
    [
      'without the namespace',
      () => aToken({ other: claims }),
      'jwt-invalid-claims',
      /^claims key: 'https:\/\/hasura.io\/jwt\/claims' not found$/,
    ],
    [
      'with claims that are no object',
      () => aToken({ 'https://hasura.io/jwt/claims': 'text' }),
      'jwt-invalid-claims',
      /json object/,
    ],
    [
      'without allowed roles',
      () => aToken({ 'https://hasura.io/jwt/claims': { 'x-hasura-default-role': 'viewer' } }),
      'jwt-missing-role-claims',
      /x-hasura-allowed-roles$/,
    ],
    [
      'without a default role',
      () => aToken({ 'https://hasura.io/jwt/claims': { 'x-hasura-allowed-roles': ['viewer'] } }),
      'jwt-missing-role-claims',
      /x-hasura-default-role$/,
    ],
    [
      'with roles that are no list',
      () => aToken({ 'https://hasura.io/jwt/claims': { ...claims, 'x-hasura-allowed-roles': 'viewer' } }),
      'jwt-invalid-claims',
      /list of roles/,
    ],
    [
      'with a variable that is no text',
      () => aToken({ 'https://hasura.io/jwt/claims': { ...claims, 'x-hasura-user-id': 7 } }),
      'jwt-invalid-claims',
      /x-hasura-user-id/,
    ],
    [
      'whose default role is not allowed',
      () => aToken({ 'https://hasura.io/jwt/claims': { ...claims, 'x-hasura-default-role': 'admin' } }),
      'access-denied',
      /not in allowed roles/,
    ],
  ])('that is %s is refused', async (_what, make, code, message) => {
    await expect(authenticate(bearer(await make()))).rejects.toMatchObject({
      code,
      path: '$',
      message: expect.stringMatching(message) as string,
    })
  })

  it.each([
    [{}, "Missing 'Authorization' or 'Cookie' header in JWT authentication mode"],
    [{ authorization: 'Basic abc' }, 'Malformed Authorization header'],
    [{ authorization: '' }, 'Malformed Authorization header'],
  ])('is missing in %j', async (headers, message) => {
    await expect(authenticate(headers)).rejects.toMatchObject({ code: 'invalid-headers', message })
  })

  it('of RS256 is not made with the public key as a secret', async () => {
    const byKey = authenticationOf({ type: 'RS256', key: publicPem })
    const good = await aToken(namespaced, { alg: 'RS256', key: rsa.privateKey })
    expect(await byKey(bearer(good))).toMatchObject({ role: 'viewer' })
    const forged = await aToken(namespaced, { alg: 'HS256', key: Buffer.from(publicPem) })
    await expect(byKey(bearer(forged))).rejects.toMatchObject({ code: 'invalid-jwt' })
  })

  it('of ES256 and Ed25519 is checked too', async () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const ed = generateKeyPairSync('ed25519')
    for (const [type, alg, pair] of [
      ['ES256', 'ES256', ec],
      ['Ed25519', 'EdDSA', ed],
    ] as const) {
      const key = pair.publicKey.export({ type: 'spki', format: 'pem' })
      const token = await aToken(namespaced, { alg, key: pair.privateKey })
      expect(await authenticationOf({ type, key })(bearer(token))).toMatchObject({ role: 'viewer' })
    }
  })

  it('is without need where the unauthorized have a role, but still must be good', async () => {
    const open = authenticationOf(hs256, 'public')
    expect(await open({ 'x-hasura-role': 'viewer' })).toMatchObject({ role: 'public' })
    await expect(open(bearer('abc'))).rejects.toMatchObject({ code: 'invalid-jwt' })
  })
})

describe('options', () => {
  const accepts = async (
    options: Record<string, unknown>,
    payload: Record<string, unknown>,
    token?: TokenOptions,
  ) => await authenticationOf({ ...hs256, ...options })(bearer(await aToken(payload, token)))

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['a namespace', { claims_namespace: 'mine' }, { mine: claims }],
    ['a path to it', { claims_namespace_path: '$.app.hasura' }, { app: { hasura: claims } }],
    ['the root', { claims_namespace_path: '$' }, claims],
    [
      'claims as text',
      { claims_format: 'stringified_json' },
      { 'https://hasura.io/jwt/claims': JSON.stringify(claims) },
    ],
    [
      'a map of claims',
      {
        claims_map: {
          'x-hasura-allowed-roles': { path: '$.roles' },
          'x-hasura-default-role': { path: '$.main', default: 'viewer' },
          'x-hasura-user-id': { path: '$.user.id' },
        },
      },
      { roles: ['viewer'], user: { id: '7' } },
    ],
  ])('know %s', async (_what, options, payload) => {
    expect(await accepts(options, payload)).toMatchObject({
      role: 'viewer',
      variables: { 'x-hasura-user-id': '7' },
    })
  })

  it('know the audience, the issuer and the skew', async () => {
    expect(await accepts({ audience: ['us'] }, namespaced, { aud: 'us' })).toMatchObject({ role: 'viewer' })
    await expect(accepts({ audience: 'us' }, namespaced, { aud: 'them' })).rejects.toThrow('JWTNotInAudience')
    await expect(accepts({ issuer: 'us' }, { ...namespaced, iss: 'them' })).rejects.toThrow('JWTNotInIssuer')
    const late = { exp: nowS - 5 }
    expect(await accepts({ allowed_skew: 10 }, namespaced, late)).toMatchObject({
      expiresAt: (nowS + 5) * 1_000,
    })
  })

  it('know where the token is', async () => {
    const token = await aToken()
    const byCookie = authenticationOf({ ...hs256, header: { type: 'Cookie', name: 'session' } })
    expect(await byCookie({ cookie: `a=b; session=${token}` })).toMatchObject({ role: 'viewer' })
    await expect(byCookie({ cookie: 'a=b' })).rejects.toMatchObject({ code: 'invalid-headers' })
    const byHeader = authenticationOf({ ...hs256, header: { type: 'CustomHeader', name: 'X-Token' } })
    expect(await byHeader({ 'x-token': token })).toMatchObject({ role: 'viewer' })
  })

  it.each([
    ['no JSON', 'x', /JSON/],
    ['no key', '{"type":"HS256"}', /key and jwk_url/],
    ['a key without a type', `{"key":"${secret}"}`, /type/],
    ['a short key', '{"type":"HS256","key":"short secret"}', /at least 32 bytes/],
    ['a public key that is none', `{"type":"RS256","key":"${secret}"}`, /PEM/],
    [
      'two places',
      `{"type":"HS256","key":"${secret}","claims_namespace":"a","claims_namespace_path":"$.a"}`,
      /both/,
    ],
    ['an unknown algorithm', `{"type":"none","key":"${secret}"}`, /type/],
    ['an unknown key', `{"type":"HS256","key":"${secret}","claim":"x"}`, /claim/],
  ])('with %s are refused without a word of the key', (_what, text, message) => {
    expect(() => readJwtOptions(text)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        message: expect.stringMatching(message) as string,
      }) as Error,
    )
    expect(() => readJwtOptions(text)).not.toThrow(secret)
  })
})
