import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { Leadership } from '../../../src/event-handler/leadership.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { Clock } from '../../../src/lib/clock.ts'
import { TestClock } from '../../support/test-clock.ts'

/** The lease row, as take_lease and release_lease keep it. */
class LeaseRow {
  holder = ''
  fence = 0
  expiresAt = 0
  isAway = false
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async takeLease(holder: string, seconds: number) {
    if (this.isAway) throw new Error('the database is away')
    if (holder !== this.holder) {
      if (this.expiresAt > this.#clock.now()) return undefined
      this.fence += 1
      this.holder = holder
    }
    this.expiresAt = this.#clock.now() + seconds * 1000
    return { holder, fence: this.fence }
  }

  async releaseLease(holder: string, fence: number) {
    if (this.holder === holder && this.fence === fence) this.expiresAt = this.#clock.now()
  }
}

function aDaemon(clock: TestClock, store: LeaseRow, holder: string) {
  const seen: string[] = []
  const leadership = new Leadership({
    store,
    clock,
    logger: silentLogger,
    holder,
    leaseSeconds: 15,
    onActive: async () => void seen.push('active'),
    onStandby: async () => void seen.push('standby'),
  })
  return { leadership, seen }
}

describe('Leadership', () => {
  it('is one daemon’s; the other takes over at once when the first stops cleanly', async () => {
    const clock = new TestClock()
    const row = new LeaseRow(clock)
    const [one, two] = [aDaemon(clock, row, 'one'), aDaemon(clock, row, 'two')]
    one.leadership.start()
    await clock.advance(10)
    two.leadership.start()
    await clock.advance(60_000)
    expect([one.leadership.fence(), two.leadership.fence()]).toEqual([1, undefined])
    const stopped = one.leadership.stop()
    await clock.advance(10)
    await stopped
    await clock.advance(2_000)
    expect([one.leadership.fence(), two.leadership.fence()]).toEqual([undefined, 2])
    expect(one.seen).toEqual(['active', 'standby'])
  })

  it('goes on through a short absence of the database and stands by after a long one', async () => {
    const clock = new TestClock()
    const row = new LeaseRow(clock)
    const { leadership, seen } = aDaemon(clock, row, 'one')
    leadership.start()
    await clock.advance(10)
    row.isAway = true
    await clock.advance(8_000)
    row.isAway = false
    await clock.advance(6_000)
    expect(seen).toEqual(['active'])
    row.isAway = true
    await clock.advance(20_000)
    expect(seen).toEqual(['active', 'standby'])
    row.isAway = false
    await clock.advance(2_000)
    expect(seen).toEqual(['active', 'standby', 'active'])
  })

  it('never lets two daemons believe that they hold the same time', async () => {
    const steps = fc.array(
      fc.record({
        away: fc.constantFrom('none', 'one', 'two', 'both'),
        ms: fc.integer({ min: 100, max: 20_000 }),
      }),
      { maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const clock = new TestClock()
        const row = new LeaseRow(clock)
        const away = { one: false, two: false }
        const through = (name: 'one' | 'two') => ({
          takeLease: async (holder: string, seconds: number) => {
            if (away[name]) throw new Error('away')
            return row.takeLease(holder, seconds)
          },
          releaseLease: row.releaseLease.bind(row),
        })
        const daemons = (['one', 'two'] as const).map((name) => {
          const leadership = new Leadership({
            store: through(name),
            clock,
            logger: silentLogger,
            holder: name,
            leaseSeconds: 15,
            onActive: async () => undefined,
            onStandby: async () => undefined,
          })
          leadership.start()
          return leadership
        })
        for (const { away: who, ms } of sequence) {
          away.one = who === 'one' || who === 'both'
          away.two = who === 'two' || who === 'both'
          for (let passed = 0; passed < ms; passed += 1_000) {
            await clock.advance(Math.min(1_000, ms - passed))
            const fences = daemons.map((daemon) => daemon.fence()).filter((fence) => fence !== undefined)
            // At most one of them has the row's fence: what the other still sends is refused.
            expect(fences.filter((fence) => fence === row.fence).length).toBeLessThanOrEqual(1)
          }
        }
        for (const daemon of daemons) {
          const stopped = daemon.stop()
          await clock.advance(1_000)
          await stopped
        }
      }),
      { numRuns: 20 },
    )
  })
})
