import fc from 'fast-check'
import { expect, it } from 'vitest'
import { firstInOrder } from '../../../scaling-algorithms/default/selection.ts'

it('selects what a whole sort would', () => {
  const compare = (one: number, other: number) => one - other
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { maxLength: 400 }),
      fc.integer({ min: -1, max: 50 }),
      (items, count) => {
        const sorted = items.toSorted(compare).slice(0, Math.max(0, count))
        expect(firstInOrder(items, count, compare)).toEqual(sorted)
      },
    ),
  )
})
