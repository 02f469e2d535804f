import { createHash, randomBytes } from 'node:crypto'

import { describe, expect, it } from 'vitest'

import { safeText } from '../../../src/lib/safe-log.ts'
import { launchToken, newToken, parseToken } from '../../../src/trust/enrolment-token.ts'

const key = 'fleet-key-of-the-tests-fleet-key-of'

describe('launchToken', () => {
  it('is the same for the same launch and attempt, and another for any other', () => {
    const token = launchToken(key, 'launch-1', 1)
    expect(launchToken(key, 'launch-1', 1)).toBe(token)
    const others = [
      launchToken(key, 'launch-1', 2),
      launchToken(key, 'launch-2', 1),
      launchToken(`${key}x`, 'launch-1', 1),
      launchToken(key, '1\0launch-1', 1),
    ]
    const parsed = [token, ...others].map((one) => parseToken(one)!)
    expect(new Set(parsed.map(({ id }) => id)).size).toBe(5)
    expect(new Set(parsed.map(({ secretHash }) => secretHash)).size).toBe(5)
  })

  it('is what it was: daemons of two versions must agree', () => {
    expect(launchToken(key, 'launch-1', 1)).toMatchInlineSnapshot(
      `"mse1_yxq24nn3zfdyh7jy3anqnn5mcy_EOKaVJFzI4ZfpFdT1u2hOG2O9e-zKBy7tBvDSlBkXqo"`,
    )
  })
})

describe('parseToken', () => {
  it('gives the public id and a hash from which the secret does not follow', () => {
    const token = newToken(randomBytes)
    const [, id, ...secret] = token.split('_')
    expect(parseToken(token)).toEqual({
      id,
      secretHash: createHash('sha256').update(secret.join('_')).digest('hex'),
    })
    expect(id).toHaveLength(26)
    expect(newToken(randomBytes)).not.toBe(token)
  })

  it.each(['', 'mse1', 'mse1__', 'mse2_', ' ', '\n', 'x'.repeat(100_000)])(
    'takes nothing else: %j',
    (part) => {
      const token = newToken(randomBytes)
      const wrong = part.startsWith('mse') ? token.replace('mse1_', part) : `${token}${part || 'x'}`
      expect(parseToken(wrong)).toBeUndefined()
      expect(parseToken(part)).toBeUndefined()
    },
  )
})

it('is of the form that logs leave out', () => {
  const token = newToken(randomBytes)
  expect(safeText(`{"a":"${token}"} ${token}`)).not.toContain(token.slice(32))
})
