import { expect, test } from 'vitest'

import { addressKey, RateLimiter } from '../../../src/api/rate-limiter.ts'
import { TestClock } from '../../support/test-clock.ts'

test('a key has so many in a window that begins with its first, and is not let in again by asking on', async () => {
  const clock = new TestClock()
  const limiter = new RateLimiter({ max: 2, windowMs: 10_000, clock })
  expect(limiter.look('a')).toMatchObject({ isExceeded: false, remaining: 2 })
  expect([limiter.take('a'), limiter.take('a')]).toMatchObject([
    { isExceeded: false, remaining: 1, resetS: 10 },
    { isExceeded: false, remaining: 0 },
  ])
  // The next one would be too many.
  expect(limiter.look('a').isExceeded).toBe(true)
  await clock.advance(9_999)
  expect(limiter.take('a')).toEqual({ isExceeded: true, remaining: 0, resetS: 1 })
  expect(limiter.take('b').isExceeded).toBe(false)
  await clock.advance(1)
  expect(limiter.look('a').isExceeded).toBe(false)
  expect(limiter.take('a')).toMatchObject({ isExceeded: false, remaining: 1 })
})

test('it remembers no more keys than it may, the newest windows', () => {
  const limiter = new RateLimiter({ max: 1, windowMs: 10_000, clock: new TestClock(), mostKeys: 2 })
  for (const key of ['a', 'b', 'c']) limiter.take(key)
  expect(['a', 'b', 'c'].map((key) => limiter.look(key).isExceeded)).toEqual([false, true, true])
})

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
  ['unknown', 'unknown'],
  ['x'.repeat(5_000), 'x'.repeat(64)],
])('the address %s stands for %s', (ip, key) => expect(addressKey(ip)).toBe(key))
