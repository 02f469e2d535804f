import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { SequenceHoles } from '../../../src/event-handler/sequence-holes.ts'

describe('SequenceHoles', () => {
  it('knows the numbers that were passed over until they are seen', () => {
    const holes = new SequenceHoles()
    holes.startAt(10)
    holes.seen(13, 0)
    expect(holes.open(0)).toEqual([11, 12])
    holes.seen(11, 5)
    expect(holes.open(5)).toEqual([12])
    expect(holes.highest).toBe(13)
  })

  it('forgets a hole after a minute: its transaction was rolled back, or a resync has its row', () => {
    const holes = new SequenceHoles()
    holes.startAt(0)
    holes.seen(2, 0)
    expect(holes.open(60_000)).toEqual([1])
    expect(holes.open(60_001)).toEqual([])
  })

  it('holds at most ten thousand, the newest', () => {
    const holes = new SequenceHoles()
    holes.startAt(0)
    holes.seen(50_000, 0)
    holes.seen(50_100, 0)
    expect(holes.open(0).length).toBeLessThanOrEqual(10_000)
    expect(holes.open(0)).toContain(50_099)
  })

  it('has open exactly what was not seen, in whatever order the numbers come', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sequences) => {
        const holes = new SequenceHoles()
        holes.startAt(0)
        for (const sequence of sequences) holes.seen(sequence, 0)
        const highest = Math.max(...sequences)
        const missing = Array.from({ length: highest }, (_, index) => index + 1).filter(
          (n) => !sequences.includes(n),
        )
        expect([...holes.open(0)].sort((a, b) => a - b)).toEqual(missing)
      }),
    )
  })
})
