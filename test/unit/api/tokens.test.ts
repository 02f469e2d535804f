import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'

import { exportJWK, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'

import { TokenVerifier } from '../../../src/api/tokens.ts'
import { aToken, jwtSecret } from '../../support/an-api.ts'
import { TestClock } from '../../support/test-clock.ts'

const seconds = Math.floor(Date.now() / 1000)

function aVerifier(now = seconds * 1000) {
  const clock = new TestClock(now)
  return { clock, verifier: new TokenVerifier({ secret: jwtSecret }, clock) }
}

/** As the door does it: what is remembered is not checked again. */
async function verified(token: string, verifier = aVerifier().verifier) {
  return verifier.recall(token) ?? (await verifier.verify(token))
}

describe('a token', () => {
  test('names its user and role', async () => {
    expect(await verified(await aToken())).toEqual({ userId: 'alice', role: undefined })
    expect(await verified(await aToken({ role: 'viewer' }))).toEqual({ userId: 'alice', role: 'viewer' })
    expect(await verified(await aToken({ role: ['operator'] }))).toMatchObject({ role: undefined })
  })

  test.each([
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject that is no text', { sub: 7 }],
    ['an endless subject', { sub: 'a'.repeat(256) }],
    ['a subject that cannot be stored', { sub: 'a\u0000' }],
    ['no expiry', { exp: undefined }],
    ['an expiry in the past', { exp: seconds - 31 }],
    ['an expiry that is no number', { exp: 'tomorrow' }],
    ['a start in the future', { nbf: seconds + 60 }],
    ['no time of issue', { iat: undefined }],
    ['a time of issue in the future', { iat: seconds + 60 }],
    ['an age of more than a day, though it has not expired', { iat: seconds - 86_431, exp: seconds + 60 }],
  ])('with %s is refused', async (_name, claims) => {
    await expect(verified(await aToken(claims))).rejects.toMatchObject({ code: 'unauthorized' })
  })

  test('may be up to 30 s past its time, for clocks differ', async () => {
    await expect(verified(await aToken({ exp: seconds - 29 }))).resolves.toMatchObject({ userId: 'alice' })
  })

  test('of another key or another algorithm is refused', async () => {
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(`{"sub":"alice","iat":${seconds},"exp":${seconds + 60}}`).toString('base64url')}.`
    for (const token of [
      await aToken({}, { secret: 'another-secret-of-at-least-32-characters' }),
      // The secret is right, and the algorithm is not the one that is configured.
      await aToken({}, { alg: 'HS384' }),
      await aToken({}, { alg: 'HS512' }),
      none,
      'a.b.c',
      '',
    ]) {
      await expect(verified(token)).rejects.toMatchObject({ code: 'unauthorized' })
    }
  })

  test('that names a critical extension or brings its own key is refused', async () => {
    const head = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url')
    const body = head({ sub: 'alice', iat: seconds, exp: seconds + 60 })
    const signed = (header: object, secret: string) => {
      const text = `${head(header)}.${body}`
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
    }
    expect(await verified(signed({ alg: 'HS256' }, jwtSecret))).toMatchObject({ userId: 'alice' })
    const own = { kty: 'oct', k: Buffer.from('mine').toString('base64url') }
    for (const token of [
      signed({ alg: 'HS256', crit: ['x'], x: 1 }, jwtSecret),
      signed({ alg: 'HS256', jwk: own }, 'mine'),
    ]) {
      await expect(verified(token)).rejects.toMatchObject({ code: 'unauthorized' })
    }
  })

  test('is remembered, at once, but never past its end', async () => {
    const { clock, verifier } = aVerifier()
    const token = await aToken({ exp: seconds + 10 })
    await verifier.verify(token)
    expect(verifier.recall(token)).toEqual({ userId: 'alice', role: undefined })
    await clock.advance(41_000)
    await expect(verified(token, verifier)).rejects.toMatchObject({ code: 'unauthorized' })
  })

  test('is looked at again after a minute', async () => {
    const { clock, verifier } = aVerifier()
    const token = await aToken({ exp: seconds + 3_600 })
    await verifier.verify(token)
    await clock.advance(60_000)
    expect(verifier.recall(token)).toBeUndefined()
  })

  test('that is not good is never remembered', async () => {
    const { verifier } = aVerifier()
    const token = await aToken({ exp: seconds - 100 })
    for (let n = 0; n < 2; n++)
      await expect(verified(token, verifier)).rejects.toMatchObject({ code: 'unauthorized' })
  })
})

describe('an issuer and an audience that are set', () => {
  const verifier = () =>
    new TokenVerifier(
      { secret: jwtSecret, issuer: 'https://idp', audience: 'muster', maxAgeS: 600 },
      new TestClock(seconds * 1000),
    )
  const good = { iss: 'https://idp', aud: 'muster' }

  test.each([{}, { aud: ['other', 'muster'] }, { iat: seconds - 629 }])('let %j in', async (changes) => {
    expect(await verified(await aToken({ ...good, ...changes }), verifier())).toMatchObject({
      userId: 'alice',
    })
  })

  test.each([
    { iss: undefined },
    { iss: 'https://idp.evil' },
    { iss: 'https://idp/' },
    { iss: ['https://idp'] },
    { aud: undefined },
    { aud: 'muster2' },
    { aud: ['other'] },
    { iat: seconds - 631 },
  ])('keep %j out', async (changes) => {
    await expect(verified(await aToken({ ...good, ...changes }), verifier())).rejects.toMatchObject({
      code: 'unauthorized',
    })
  })
})

test('a public key is never taken for a shared secret', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' })
  const forged = await aToken({}, { secret: pem })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' }
  const keySet = `data:application/json,${encodeURIComponent(JSON.stringify({ keys: [jwk] }))}`
  const verifier = new TokenVerifier({ jwksUrl: keySet }, new TestClock(seconds * 1000))
  const genuine = await new SignJWT({ sub: 'alice', iat: seconds, exp: seconds + 60 })
    .setProtectedHeader({ alg: 'RS256', kid: 'k' })
    .sign(privateKey)
  await expect(verified(genuine, verifier)).resolves.toMatchObject({ userId: 'alice' })
  await expect(verified(forged, verifier)).rejects.toMatchObject({ code: 'unauthorized' })
})

test('a key set that cannot be fetched makes tokens unavailable, not wrong', async () => {
  const verifier = new TokenVerifier(
    { jwksUrl: 'data:application/json,nonsense' },
    new TestClock(seconds * 1000),
  )
  const token = await new SignJWT({ sub: 'alice', iat: seconds, exp: seconds + 60 })
    .setProtectedHeader({ alg: 'RS256' })
    .sign(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
  await expect(verified(token, verifier)).rejects.toMatchObject({ code: 'unavailable' })
})
