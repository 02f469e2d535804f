import fc from 'fast-check'
import { expect, test } from 'vitest'

import { WaitingLine } from '../../../src/assign/waiting-line.ts'

test('whatever joins and leaves, the head is the lowest number in line', () => {
  const step = fc.record({ joins: fc.boolean(), sequence: fc.integer({ min: 0, max: 30 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const line = new WaitingLine<{ sequence: number }>()
      const people = Array.from({ length: 31 }, (_, sequence) => ({ sequence }))
      const present = new Set<number>()
      for (const { joins, sequence } of steps) {
        const person = people[sequence]!
        if (joins && !present.has(sequence)) {
          line.join(person)
          present.add(sequence)
        } else if (!joins) {
          line.leave(person)
          present.delete(sequence)
        }
        expect(line.size).toBe(present.size)
        expect(line.head?.sequence).toBe(present.size === 0 ? undefined : Math.min(...present))
      }
      const emptied: number[] = []
      for (let head = line.head; head !== undefined; head = line.head) {
        emptied.push(head.sequence)
        line.leave(head)
      }
      expect(emptied).toEqual([...present].sort((a, b) => a - b))
    }),
  )
})
