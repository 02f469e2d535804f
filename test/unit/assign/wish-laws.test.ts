/**
 * Laws of the lines while a roll-out is under way: random arrivals with and without versions, agents of both images, a canary and
 * a switch at some moment, and every call's answer at a random one.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { isChosen } from '../../../src/assign/canary.ts'
import type { AssignAnswer } from '../../../src/assign/seams.ts'
import { imageIdOf, SmallFleet } from '../../support/small-fleet.ts'
import { settle } from '../../support/test-clock.ts'

const region = 'fake/a'
const versions = ['v1', 'v2'] as const
const share = 0.5

const arrive = fc.record({
  kind: fc.constant('arrive' as const),
  version: fc.constantFrom('v1', 'v2', undefined),
})
const free = fc.record({ kind: fc.constant('free' as const), version: fc.constantFrom(...versions) })
const calls = fc.record({ kind: fc.constant('calls' as const), count: fc.integer({ min: 1, max: 4 }) })
const hangUp = fc.record({ kind: fc.constant('hang-up' as const), who: fc.nat() })
const turn = fc.record({ kind: fc.constantFrom('canary' as const, 'switch' as const) })
const step = fc.oneof(
  { weight: 5, arbitrary: arrive },
  { weight: 5, arbitrary: free },
  { weight: 5, arbitrary: calls },
  { weight: 1, arbitrary: hangUp },
  { weight: 1, arbitrary: turn },
)

interface Visit {
  readonly user: string
  readonly version: string | undefined
  readonly controller: AbortController
  answer?: AssignAnswer
}

/** A fleet whose calls and hints come back when the scheduler says so. */
function aWorld(scheduler: fc.Scheduler) {
  const fleet = new SmallFleet()
  fleet.region(region)
  fleet.tries('v2')
  const assigner = fleet.assigner()
  const visits: Visit[] = []
  const served: Visit[] = []
  let state: 'READY' | 'CANARY' | 'SWITCHED' = 'READY'
  const runCalls = async (count: number) => {
    for (let n = 0; n < count && scheduler.count() > 0; n++) {
      await scheduler.waitNext(1)
      await settle()
    }
  }
  return {
    fleet,
    assigner,
    visits,
    served,
    runCalls,
    delay: () => {
      fleet.latency = () => scheduler.schedule(Promise.resolve())
      fleet.hint = (deliver) => void scheduler.schedule(Promise.resolve()).then(deliver)
    },
    arrive: (version: string | undefined, waitMs = 5_000) => {
      const visit: Visit = { user: `u${visits.length}`, version, controller: new AbortController() }
      visits.push(visit)
      const request = {
        userId: visit.user,
        regions: [region],
        waitMs,
        ...(version !== undefined && { version }),
      }
      void assigner.assign(request, visit.controller.signal).then((answer) => {
        visit.answer = answer
        if (answer.outcome === 'assigned') served.push(visit)
      })
    },
    free: (version: string) => {
      fleet.free(`${version}-${fleet.agents.size}`, `host-${version}`, region, version)
    },
    turn: (kind: 'canary' | 'switch') => {
      if (kind === 'canary' && state === 'READY') {
        state = 'CANARY'
        fleet.tries('v2', { state, canaryShare: share }, region)
      } else if (kind === 'switch' && state !== 'SWITCHED') {
        state = 'SWITCHED'
        fleet.switches(region)
      }
    },
    /** Versions whose agents will do for the visit, by now. */
    willDo: ({ version, user }: Visit): readonly string[] => {
      if (version !== undefined) return [version]
      if (state === 'SWITCHED') return ['v2']
      const isTaken = state === 'CANARY' && isChosen(imageIdOf(region, 'v2'), user, share)
      return isTaken ? ['v1', 'v2'] : ['v1']
    },
    isFree: (version: string) =>
      [...fleet.agents.values()].some(
        (agent) => agent.status === 'WAITING' && agent.hostId === `host-${version}`,
      ),
  }
}

test('no double claim, no lost wake-up, nobody gets what he did not ask for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 40 }), async (scheduler, steps) => {
      const world = aWorld(scheduler)
      const { fleet, assigner, visits } = world
      world.delay()
      for (const next of steps) {
        if (next.kind === 'arrive') world.arrive(next.version)
        else if (next.kind === 'free') world.free(next.version)
        else if (next.kind === 'calls') await world.runCalls(next.count)
        else if (next.kind === 'hang-up') visits[next.who % Math.max(1, visits.length)]?.controller.abort()
        else world.turn(next.kind)
        await settle()
      }
      await world.runCalls(Infinity)

      const waiting = visits.filter(({ answer }) => answer === undefined)
      for (const visit of waiting) expect(world.willDo(visit).filter(world.isFree), visit.user).toEqual([])
      expect(assigner.waitingUsers(region)).toBe(waiting.length)
      // Who can be served by the ACTIVE image waits for no other.
      const activeVersion = fleet.regions.get(region)!.version!
      const others = waiting.filter((visit) => !world.willDo(visit).includes(activeVersion))
      const other = imageIdOf(
        region,
        versions.find((version) => version !== activeVersion)!,
      )
      expect(assigner.waitingUsersOf(region)).toEqual(others.length === 0 ? {} : { [other]: others.length })

      await fleet.clock.advance(5_000)
      await settle()
      await world.runCalls(Infinity)
      expect(visits.filter(({ answer }) => answer === undefined)).toEqual([])
      expect([assigner.waitingUsers(region), assigner.waitingUsersOf(region)]).toEqual([0, {}])

      const seats = visits.flatMap(({ answer, version }) => {
        if (answer?.outcome !== 'assigned') return []
        if (version !== undefined) expect(answer.seat.hostId).toBe(`host-${version}`)
        return [answer.seat.agentId]
      })
      expect(new Set(seats).size).toBe(seats.length)
      for (const agent of fleet.agents.values()) {
        if (agent.status === 'ALLOCATED') expect(seats).toContain(agent.id)
        if (agent.status === 'DYING') expect(seats).not.toContain(agent.id)
      }
      for (const { userId, version, arm } of fleet.claims.map(({ request }) => request)) {
        const isTaken = isChosen(imageIdOf(region, 'v2'), userId, share)
        if (version !== null || arm === null) expect(arm).toBeNull()
        else expect(arm === 'control').toBe(!isTaken)
      }
    }),
    { numRuns: 300 },
  )
})

test('of those who wait for an image the first to come goes first, through canary and switch', async () => {
  const arrivals = fc.array(fc.constantFrom('v1', 'v2', undefined), { minLength: 2, maxLength: 8 })
  const events = fc.array(
    fc.record({
      what: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...versions) },
        fc.constantFrom('canary', 'switch'),
      ),
      gap: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), arrivals, events, async (scheduler, people, happenings) => {
      const world = aWorld(scheduler)
      for (const version of people) {
        world.arrive(version, 25_000)
        await settle()
      }
      world.delay()
      for (const { what, gap } of happenings) {
        const before = world.visits.map((visit) => world.willDo(visit))
        const seen = world.served.length
        if (what === 'canary' || what === 'switch') {
          // A claim for what was right before may be under way: what it brings is no overtaking.
          await world.runCalls(Infinity)
          world.turn(what)
          await world.runCalls(Infinity)
          continue
        }
        world.free(what)
        await world.runCalls(gap)
        expectNobodyOvertaken(world, before, seen)
      }
      const before = world.visits.map((visit) => world.willDo(visit))
      const seen = world.served.length
      await world.runCalls(Infinity)
      expectNobodyOvertaken(world, before, seen)
      // Nobody starves: whoever is left has no agent that will do.
      for (const visit of world.visits) {
        if (visit.answer === undefined) expect(world.willDo(visit).filter(world.isFree)).toEqual([])
      }
    }),
    { numRuns: 200 },
  )
})

/** Of those served since: nobody who came before, and wanted exactly that image or more, is left without. */
function expectNobodyOvertaken(
  { visits, served }: Pick<ReturnType<typeof aWorld>, 'visits' | 'served'>,
  wanted: readonly (readonly string[])[],
  since: number,
): void {
  for (const [place, visit] of served.entries()) {
    if (place < since) continue
    const got = visit.answer?.outcome === 'assigned' ? visit.answer.seat.hostId.replace('host-', '') : ''
    const overtaken = visits
      .slice(0, visits.indexOf(visit))
      .filter((earlier) => wanted[visits.indexOf(earlier)]!.includes(got))
      .filter((earlier) => !served.slice(0, place).includes(earlier))
    expect(
      overtaken.map(({ user }) => user),
      `${visit.user} got ${got}`,
    ).toEqual([])
  }
}
