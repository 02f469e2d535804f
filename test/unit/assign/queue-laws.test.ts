/** Laws of the wait queue, over random arrivals, agents, hang-ups and deadlines, with every call's answer at a random moment. */
import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { AssignAnswer } from '../../../src/assign/seams.ts'
import { settle } from '../../support/test-clock.ts'
import { SmallFleet } from '../../support/small-fleet.ts'

const regions = ['fake/a', 'fake/b']
const someRegions = fc.constantFrom(['fake/a'], ['fake/b'], ['fake/a', 'fake/b'], ['fake/b', 'fake/a'])
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('arrive' as const), regions: someRegions }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('free' as const), region: fc.constantFrom(...regions) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hang-up' as const), who: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 800 }) }),
  },
  // Some calls come back before the next step, others only after several.
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('calls' as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
)

interface Visit {
  readonly user: string
  readonly regions: readonly string[]
  readonly controller: AbortController
  readonly promise: Promise<AssignAnswer>
  answer?: AssignAnswer
}

test('no double service, no lost wake-up, nobody overtaken', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 40 }), async (scheduler, steps) => {
      const fleet = new SmallFleet()
      for (const id of regions) fleet.region(id)
      fleet.latency = () => scheduler.schedule(Promise.resolve())
      fleet.hint = (deliver) => void scheduler.schedule(Promise.resolve()).then(deliver)
      const assigner = fleet.assigner()
      const visits: Visit[] = []
      const arrive = (wanted: readonly string[]) => {
        const controller = new AbortController()
        const user = `u${visits.length}`
        const request = { userId: user, regions: wanted, waitMs: 5_000 }
        const promise = assigner.assign(request, controller.signal)
        const visit: Visit = { user, regions: wanted, controller, promise }
        visits.push(visit)
        void promise.then((answer) => {
          visit.answer = answer
        })
      }
      const runCalls = async (count: number) => {
        for (let n = 0; n < count && scheduler.count() > 0; n++) {
          await scheduler.waitNext(1)
          await settle()
        }
      }
      let agents = 0
      for (const next of steps) {
        if (next.kind === 'arrive') arrive(next.regions)
        else if (next.kind === 'free') fleet.free(`agent${(agents += 1)}`, `host-${next.region}`, next.region)
        else if (next.kind === 'hang-up') visits[next.who % Math.max(1, visits.length)]?.controller.abort()
        else if (next.kind === 'time') await fleet.clock.advance(next.ms)
        else await runCalls(next.count)
        await settle()
      }
      await runCalls(Infinity)

      // No lost wake-up: once all calls have come back, nobody waits where an agent is free.
      const freeIn = (region: string) =>
        [...fleet.agents.values()].some((agent) => agent.regionId === region && agent.status === 'WAITING')
      for (const visit of visits) {
        if (visit.answer === undefined) expect(visit.regions.filter(freeIn), visit.user).toEqual([])
      }
      const stillWaiting = visits.filter((visit) => visit.answer === undefined).length
      expect(regions.map((id) => assigner.waitingUsers(id)).reduce((a, b) => a + b)).toBe(stillWaiting)

      await fleet.clock.advance(5_000)
      await settle()
      await runCalls(Infinity)
      expect(visits.filter((visit) => visit.answer === undefined)).toEqual([])
      expect(regions.map((id) => assigner.waitingUsers(id))).toEqual([0, 0])

      // No double service: an agent has one user, a user one agent, and each agent of theirs was answered or is DYING.
      const seats = visits.flatMap(({ answer }) =>
        answer?.outcome === 'assigned' ? [answer.seat.agentId] : [],
      )
      expect(new Set(seats).size).toBe(seats.length)
      for (const agent of fleet.agents.values()) {
        if (agent.status === 'ALLOCATED') expect(seats).toContain(agent.id)
        if (agent.status === 'DYING') expect(seats).not.toContain(agent.id)
      }
      expect(fleet.misses.length).toBeLessThanOrEqual(visits.length - seats.length)
    }),
    { numRuns: 300 },
  )
})

test('those who wait are served in the order in which they came', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 2, max: 8 }),
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 }),
      async (scheduler, people, gaps) => {
        const fleet = new SmallFleet()
        fleet.region('fake/a')
        const assigner = fleet.assigner()
        const served: number[] = []
        for (let n = 0; n < people; n++) {
          const request = { userId: `u${n}`, regions: ['fake/a'], waitMs: 20_000 }
          void assigner.assign(request, new AbortController().signal).then((answer) => {
            if (answer.outcome === 'assigned') served.push(n)
          })
        }
        await settle()
        fleet.latency = () => scheduler.schedule(Promise.resolve())
        fleet.hint = (deliver) => void scheduler.schedule(Promise.resolve()).then(deliver)
        for (const [index, gap] of gaps.entries()) {
          fleet.free(`agent${index}`)
          for (let n = 0; n < gap && scheduler.count() > 0; n++) await scheduler.waitNext(1)
          await settle()
        }
        while (scheduler.count() > 0) {
          await scheduler.waitNext(1)
          await settle()
        }
        expect(served).toEqual([...Array(Math.min(people, gaps.length)).keys()])
      },
    ),
    { numRuns: 100 },
  )
})
