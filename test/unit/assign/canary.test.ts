import fc from 'fast-check'
import { expect, test } from 'vitest'

import { isChosen } from '../../../src/assign/canary.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const share = fc.double({ min: 0, max: 1, noNaN: true })

test('whom a share takes, a larger one takes too, and asking again changes nothing', () => {
  fc.assert(
    fc.property(text, text, share, share, (rollout, user, one, other) => {
      const [smaller, larger] = one < other ? [one, other] : [other, one]
      const taken = isChosen(rollout, user, smaller)
      expect(isChosen(rollout, user, smaller)).toBe(taken)
      if (taken) expect(isChosen(rollout, user, larger)).toBe(true)
    }),
  )
})

test('a share of 0 takes nobody, one of 1 everybody', () => {
  fc.assert(
    fc.property(text, text, (rollout, user) => {
      expect([isChosen(rollout, user, 0), isChosen(rollout, user, 1)]).toEqual([false, true])
    }),
  )
})

test('a share is met, whoever the users are', () => {
  const people = 4_000
  const kinds: ((n: number) => string)[] = [
    (n) => String(n),
    (n) => `user-${n}@example.org`,
    (n) => `auth0|${n.toString(16).padStart(24, '0')}`,
  ]
  fc.assert(
    fc.property(fc.uuid(), fc.constantFrom(...kinds), share, (rollout, nameOf, wanted) => {
      const taken = Array.from({ length: people }, (_, n) => isChosen(rollout, nameOf(n), wanted))
      const deviation = Math.sqrt(people * wanted * (1 - wanted))
      // Six standard deviations and one person: none of the runs leaves it by chance.
      expect(Math.abs(taken.filter(Boolean).length - people * wanted)).toBeLessThanOrEqual(6 * deviation + 1)
    }),
    { numRuns: 10 },
  )
})

test('who is taken in one roll-out says nothing of the next', () => {
  const users = Array.from({ length: 4_000 }, (_, n) => `user-${n}`)
  const taken = (rollout: string) => users.filter((user) => isChosen(rollout, user, 0.5))
  const [first, second] = [taken('one'), new Set(taken('two'))]
  const both = first.filter((user) => second.has(user)).length
  expect(Math.abs(both / first.length - 0.5)).toBeLessThan(0.05)
})

test('the hash is what it is on record to be', () => {
  // Computed apart: python3 -c "import hashlib; print(int(hashlib.sha256(b'image-3\0alice').hexdigest()[:12], 16) / 2**48)"
  const alice = 0.11230195004608845
  expect(isChosen('image-3', 'alice', alice)).toBe(false)
  expect(isChosen('image-3', 'alice', alice + 1e-9)).toBe(true)
})
