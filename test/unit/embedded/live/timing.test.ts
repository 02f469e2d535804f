import { describe, expect, it } from 'vitest'

import { fastPace, hasuraPace } from '../../../../src/embedded/live/timing.ts'
import type { Watch } from '../../../../src/embedded/live/timing.ts'
import { TestClock } from '../../../support/test-clock.ts'

function aWatch(sources: readonly string[] = ['public.a'], sql = 'select 1') {
  const watch = { wakes: 0, sources: new Set(sources), sql, wake: () => (watch.wakes += 1) }
  return watch satisfies Watch
}

describe('fast', () => {
  it('looks at what a change may have changed', () => {
    const pace = fastPace(new TestClock(), '*')
    const watches = [aWatch(), aWatch(['public.b']), aWatch(['*'])]
    for (const watch of watches) pace.add(watch)
    pace.changed('public.a')
    expect(watches.map(({ wakes }) => wakes)).toEqual([2, 1, 2])
    pace.changed(undefined)
    expect(watches.map(({ wakes }) => wakes)).toEqual([3, 2, 3])
    pace.stop()
  })

  it('looks at 50 each second without cause, in turn', async () => {
    const clock = new TestClock()
    const pace = fastPace(clock, '*')
    const watches = Array.from({ length: 120 }, () => aWatch())
    for (const watch of watches) pace.add(watch)
    await clock.advance(1_000)
    expect(watches.filter(({ wakes }) => wakes === 2)).toHaveLength(50)
    await clock.advance(2_000)
    expect(watches.every(({ wakes }) => wakes >= 2)).toBe(true)
    pace.stop()
  })
})

describe('hasura', () => {
  it('polls each second from the first watch of a statement on, and hears of no change', async () => {
    const clock = new TestClock()
    const pace = hasuraPace(clock)
    const first = aWatch()
    pace.add(first)
    pace.changed('public.a')
    await clock.advance(400)
    const second = aWatch()
    const other = aWatch(['public.a'], 'select 2')
    pace.add(second)
    pace.add(other)
    expect([first.wakes, second.wakes, other.wakes]).toEqual([1, 0, 1])
    await clock.advance(600)
    expect([first.wakes, second.wakes, other.wakes]).toEqual([2, 1, 1])
    pace.remove(first)
    await clock.advance(1_000)
    expect([first.wakes, second.wakes, other.wakes]).toEqual([2, 2, 2])
    pace.stop()
    await clock.advance(5_000)
    expect(second.wakes).toBe(2)
  })
})
