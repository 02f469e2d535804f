import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { SimulatedClock } from '../../../src/simulation/clock.ts'
import { Life } from '../../../src/simulation/life.ts'

const ignore = (): void => undefined

describe('the simulated clock', () => {
  it('runs what is due in order of its moment, then of its being armed, and nothing that was cancelled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 40 }), async (timers) => {
        const clock = new SimulatedClock(1_000)
        const ran: [at: number, order: number][] = []
        const cancels = timers.map(([ms], order) => clock.after(ms, () => ran.push([clock.now(), order])))
        for (const [order, [, isCancelled]] of timers.entries()) if (isCancelled) cancels[order]!()
        await clock.advance(20, ignore)
        const wanted = timers
          .flatMap(([ms, isCancelled], order) => (isCancelled ? [] : [[1_000 + ms, order] as const]))
          .sort((one, other) => one[0] - other[0] || one[1] - other[1])
        expect(ran).toEqual(wanted)
        expect(clock.now()).toBe(1_020)
      }),
    )
  })

  it('lets all that needs no time go on before the next thing comes due', async () => {
    const clock = new SimulatedClock()
    const told: string[] = []
    clock.after(1, () => {
      void (async () => {
        for (let step = 0; step < 100; step += 1) await Promise.resolve()
        told.push(`first at ${clock.now()}`)
      })()
    })
    clock.after(1, () => told.push('second'))
    await clock.advance(1, ignore)
    expect(told).toEqual(['first at 1', 'second'])
  })

  it('ends a sleep when its signal is aborted, also one that was aborted before', async () => {
    const clock = new SimulatedClock()
    const aborting = new AbortController()
    const sleeping = clock.sleep(1_000, aborting.signal)
    aborting.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    await expect(clock.sleep(1, aborting.signal)).rejects.toThrow('enough')
  })
})

describe('a life', () => {
  it('hears and does nothing after its end, and whoever asks it something is told that it broke', async () => {
    const clock = new SimulatedClock()
    const life = new Life(clock)
    const told: string[] = []
    life.clock.after(10, () => told.push('its timer'))
    void life.hear(clock.sleep(5)).then(() => told.push('its answer'))
    void life
      .hear(clock.sleep(5).then(() => Promise.reject(new Error('no'))))
      .catch(() => told.push('its error'))
    const asked = life.serve(() => life.clock.sleep(5))
    clock.after(1, () => life.end())
    const broken = expect(asked).rejects.toThrow('the connection broke')
    await clock.advance(20, ignore)
    await broken
    expect(told).toEqual([])
    expect(life.isOver).toBe(true)
  })
})
