import { expect, test } from 'vitest'
import { differenceInterval } from '../../../src/rollout/difference-interval.ts'

// The examples of Newcombe's table II, method 10.
test.each([
  { one: [56, 70], other: [48, 80], least: 0.0524, most: 0.3339 },
  { one: [9, 10], other: [3, 10], least: 0.1705, most: 0.809 },
  { one: [6, 7], other: [2, 7], least: 0.0582, most: 0.8062 },
  { one: [5, 56], other: [0, 29], least: -0.0381, most: 0.1926 },
  { one: [0, 10], other: [0, 20], least: -0.1611, most: 0.2775 },
  { one: [10, 10], other: [0, 10], least: 0.6075, most: 1 },
])('$one failed against $other', ({ one, other, least, most }) => {
  const bounds = differenceInterval(arm(one), arm(other), 1.959964)

  expect(bounds.least).toBeCloseTo(least, 4)
  expect(bounds.most).toBeCloseTo(most, 4)
})

test('nothing seen gives no bounds', () => {
  expect(differenceInterval(arm([0, 0]), arm([0, 9]), 2)).toEqual({ least: -1, most: 1 })
  expect(differenceInterval(arm([9, 9]), arm([0, 0]), 2)).toEqual({ least: -1, most: 1 })
})

function arm([failed = 0, sessions = 0]: readonly number[]) {
  return { failed, sessions }
}
