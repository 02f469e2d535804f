import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Cause } from '../../../src/model/event.ts'
import { RegionTasks } from '../../../src/reconcile/region-tasks.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

const tick: Cause = { kind: 'tick', schedule: '* * * * *' }
const change = (table: string): Cause => ({ kind: 'change', table })

/** Tasks that run until they are let go. */
function heldTasks() {
  const started: { regionId: string; causes: readonly Cause[] }[] = []
  const holds: (() => void)[] = []
  const clock = new TestClock()
  const tasks = new RegionTasks(clock, (regionId, causes) => {
    started.push({ regionId, causes })
    return new Promise((resolve) => holds.push(resolve))
  })
  tasks.start()
  return { tasks, started, clock, letGo: () => holds.splice(0).forEach((go) => go()) }
}

describe('RegionTasks', () => {
  it('runs one task at a time for a region and merges what arrives meanwhile; no cause is swallowed', async () => {
    const { tasks, started, letGo } = heldTasks()
    tasks.wake('r1', change('hosts'))
    await settle()
    tasks.wake('r1', change('agents'))
    tasks.wake('r1', tick)
    tasks.wake('r1', change('agents'))
    await settle()
    expect(started).toHaveLength(1)
    letGo()
    await settle()
    expect(started).toHaveLength(2)
    expect(started[1]?.causes).toEqual([change('agents'), tick])
  })

  it('runs regions in parallel', async () => {
    const { tasks, started } = heldTasks()
    tasks.wake('r1', tick)
    tasks.wake('r2', tick)
    await settle()
    expect(started.map((task) => task.regionId)).toEqual(['r1', 'r2'])
  })

  it('merges what is woken in one go', async () => {
    const { tasks, started } = heldTasks()
    tasks.wake('r1', tick)
    tasks.wake('r1', change('hosts'))
    await settle()
    expect(started.map((task) => task.causes)).toEqual([[tick, change('hosts')]])
  })

  it('merges what comes in one round of the event loop, as the answers to many claims do', async () => {
    const { tasks, started } = heldTasks()
    tasks.wake('r1', tick)
    for (let step = 0; step < 10; step += 1) await Promise.resolve()
    tasks.wake('r1', change('agents'))
    await settle()
    expect(started.map((task) => task.causes)).toEqual([[tick, change('agents')]])
  })

  it('starts nothing that was woken before a stop', async () => {
    const { tasks, started, clock } = heldTasks()
    tasks.wake('r1', tick)
    await Promise.all([tasks.stop(), clock.advance(10)])
    expect(started).toEqual([])
  })

  it('has one timer for each region: a later one replaces the earlier', async () => {
    const { tasks, started, clock, letGo } = heldTasks()
    tasks.wake('r1', tick)
    await settle()
    letGo()
    await settle()
    tasks.armTimer('r1', clock.now() + 1_000)
    tasks.armTimer('r1', clock.now() + 5_000)
    await clock.advance(4_999)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started[1]?.causes).toEqual([{ kind: 'deadline' }])
  })

  it('starts nothing once stopped, and waits for what runs', async () => {
    const { tasks, started, letGo, clock } = heldTasks()
    tasks.wake('r1', tick)
    await settle()
    tasks.wake('r1', tick)
    let hasStopped = false
    void tasks.stop().then(() => (hasStopped = true))
    await clock.advance(10)
    expect(hasStopped).toBe(false)
    letGo()
    await clock.advance(10)
    expect(hasStopped).toBe(true)
    tasks.wake('r1', tick)
    await settle()
    expect(started).toHaveLength(1)
  })

  it('never overlaps tasks of a region and hands over every cause', async () => {
    const wakes = fc.array(fc.tuple(fc.constantFrom('r1', 'r2'), fc.integer({ min: 0, max: 9 })), {
      maxLength: 30,
    })
    await fc.assert(
      fc.asyncProperty(wakes, async (sequence) => {
        const running = new Set<string>()
        const seen = new Set<string>()
        const tasks = new RegionTasks(new TestClock(), async (regionId, causes) => {
          expect(running.has(regionId)).toBe(false)
          running.add(regionId)
          await settle()
          for (const cause of causes) seen.add(`${regionId} ${JSON.stringify(cause)}`)
          running.delete(regionId)
        })
        tasks.start()
        for (const [regionId, n] of sequence) {
          tasks.wake(regionId, change(`t${n}`))
          if (n % 3 === 0) await settle()
        }
        for (let turn = 0; turn < 4; turn += 1) await settle()
        expect(seen).toEqual(
          new Set(sequence.map(([regionId, n]) => `${regionId} ${JSON.stringify(change(`t${n}`))}`)),
        )
      }),
      { numRuns: 25 },
    )
  })
})
