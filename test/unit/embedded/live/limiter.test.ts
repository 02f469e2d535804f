import { expect, it } from 'vitest'

import { createLimiter } from '../../../../src/embedded/live/limiter.ts'
import { settle } from '../../../support/test-clock.ts'

it('runs no more at once than it may, in the order of asking, whatever fails', async () => {
  const limit = createLimiter(2)
  let running = 0
  let most = 0
  const order: number[] = []
  const outcomes = await Promise.allSettled(
    Array.from({ length: 9 }, (_, index) =>
      limit(async () => {
        running += 1
        most = Math.max(most, running)
        order.push(index)
        await settle()
        running -= 1
        if (index % 3 === 0) throw new Error(String(index))
        return index
      }),
    ),
  )
  expect(most).toBe(2)
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(3)
})
