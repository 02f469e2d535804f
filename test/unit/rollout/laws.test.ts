/**
 * The laws of a roll-out, on the pure planner with each built-in algorithm and a model of hosts and users
 * (test/support/rollout-world.ts), beside the same load without it.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { algorithm as byBuffer } from '../../../scaling-algorithms/default/algorithm.ts'
import { algorithm as byNumber } from '../../../scaling-algorithms/fixed/algorithm.ts'
import { isSameVersion } from '../../../src/model/version.ts'
import type { Arrival, WorldOptions } from '../../support/rollout-world.ts'
import { RolloutWorld } from '../../support/rollout-world.ts'
import { runs } from '../../support/thoroughness.ts'

const numRuns = runs(24, 1_000)
/** Of those that run the same load twice. */
const pairedRuns = runs(24, 500)
const steps = 90

/** Short deadlines: a roll-out of the model is over in a minute. */
const options = {
  prepare_s: 40,
  canary_min_s: 5,
  canary_s: 20,
  canary_min_sessions: 5,
  bake_s: 6,
  on_few_samples: 'switch' as const,
}

const arrival = fc.record({
  version: fc.constantFrom(undefined, undefined, undefined, '1.0.0', '2.0.0'),
  lasts: fc.integer({ min: 1, max: 6 }),
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  luck: fc.double({ min: 0, max: 1, noNaN: true }),
})
const target = 4
const load = fc.array(fc.array(arrival, { maxLength: 12 }), { minLength: steps, maxLength: steps })

const policy = fc.constantFrom(
  { algorithm: byBuffer, options: { idle_seconds: 0 } },
  { algorithm: byBuffer, options: { idle_seconds: 3 } },
  { algorithm: byNumber, options: { hosts: 20 } },
)
const roomy = {
  targetFreeAgents: target,
  minHosts: 0,
  maxHosts: 60,
  maxSurgeHosts: 60,
  agentsPerHost: 4,
  agentsPerHostGiven: 4,
}

interface Draw {
  readonly policy: Pick<WorldOptions, 'algorithm' | 'options'>
  readonly share: number
  readonly startsAt: number
  readonly releasedAt: number
  readonly backAt: number
  readonly how: 'version' | 'ready'
}
const draw: fc.Arbitrary<Draw> = fc.record({
  policy,
  share: fc.constantFrom(0, 0, 0.2, 1),
  startsAt: fc.integer({ min: 3, max: 20 }),
  releasedAt: fc.integer({ min: 1, max: 60 }),
  // Past the end: never.
  backAt: fc.constantFrom(1000, 1000, 30, 45, 60, 75),
  how: fc.constantFrom('version', 'version', 'ready'),
})

async function aWorld(
  { policy: chosen, share, how }: Draw,
  more: Partial<WorldOptions> = {},
  region: object = {},
): Promise<RolloutWorld> {
  const world = await RolloutWorld.create({
    ...chosen,
    boot: 0,
    ...more,
    region: { ...roomy, rollout: { ...options, canary_share: share, switch: how }, ...region },
  })
  // The buffer is there before the first user.
  for (let step = 0; step <= (more.boot ?? 0); step += 1) await world.run([])
  return world
}

function arrivalsOf(
  world: RolloutWorld,
  at: readonly Omit<Arrival, 'userId'>[],
  step: number,
): readonly Arrival[] {
  return at
    .map((one, index) => ({ ...one, userId: `u${step}-${index}` }))
    .filter(({ version }) => version === undefined || world.free(version) !== undefined)
}

async function people(
  world: RolloutWorld,
  step: number,
  { startsAt, releasedAt, backAt }: Draw,
): Promise<void> {
  if (step === 0) await world.setVersion('1.0.0')
  if (step === startsAt) await world.addCandidate('v2', '2.0.0')
  if (step === releasedAt) await world.setVersion('2.0.0')
  if (step === backAt) await world.setVersion('1.0.0')
}

/** True at every step of every run, whatever fails. */
function expectSound(world: RolloutWorld, told: string): void {
  const { db } = world
  expect(db.images.where(({ status }) => status === 'ACTIVE').length, told).toBe(1)
  expect(world.cutSessions(), told).toEqual([])
  const region = db.regions.get('test/one')!
  const standing = db.hosts.where(({ status }) => status !== 'TERMINATED').length
  expect(standing, told).toBeLessThanOrEqual(region.maxHosts + region.maxSurgeHosts)
}

describe('a roll-out', () => {
  /**
   * The promise of a buffer: as long as the sessions grow by no more than it holds in the time of a boot, nobody is refused. Seats
   * that sessions leave count, however many users that is in a second.
   */
  it('leaves to each client of a served version what it would find without it, and refuses nobody', async () => {
    await fc.assert(
      fc.asyncProperty(draw, load, fc.integer({ min: 0, max: 4 }), async (drawn, wanted, boot) => {
        const rolled = await aWorld(drawn, { boot })
        const plain = await aWorld(drawn, { boot })
        const growth = new Growth(boot + 2)
        for (const [step, at] of wanted.entries()) {
          await people(rolled, step, drawn)
          const arrivals = growth.allow(arrivalsOf(rolled, at, step), rolled.step + 1)
          await rolled.run(arrivals)
          await plain.run(arrivals.map((one) => ({ ...one, version: undefined })))
          const told = rolled.story.slice(-40).join('\n')
          expectSound(rolled, told)
          expect(plain.refused).toEqual([])
          expect(rolled.refused, told).toEqual([])
          if (boot > 0) continue
          const found = Math.min(plain.free() ?? 0, target)
          for (const version of [undefined, ...rolled.keptVersions()]) {
            const isServed = version === undefined || rolled.free(version) !== undefined
            if (isServed) expect(rolled.free(version), `${version}\n${told}`).toBeGreaterThanOrEqual(found)
          }
        }
      }),
      { numRuns: pairedRuns },
    )
  })

  it('ends within its deadlines, and cuts no session, whatever launches, users and daemons do', async () => {
    const fates = fc.array(fc.constantFrom('boots', 'boots', 'boots', 'refused', 'never-connects'), {
      minLength: 200,
      maxLength: 200,
    })
    const absent = fc.array(fc.boolean(), { minLength: steps, maxLength: steps })
    await fc.assert(
      fc.asyncProperty(
        draw,
        load,
        fates,
        absent,
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 3, max: 30 }),
        fc.integer({ min: 0, max: 4 }),
        fc.constantFrom(0, 0, 0.3, 1),
        async (drawn, wanted, fate, absences, boot, maxHosts, maxSurgeHosts, failing) => {
          const world = await aWorld(
            drawn,
            {
              boot,
              fate: (version, index) =>
                version === '2.0.0' ? (fate[index % fate.length] as 'boots') : 'boots',
              failing: (version) => (version === '2.0.0' ? failing : 0),
            },
            {
              maxHosts,
              maxSurgeHosts,
              deadlines: {
                launch: 300,
                connect: 8,
                heartbeat: 15,
                allocated: 60,
                drain: 30,
                force_drain: false,
              },
            },
          )
          for (const [step, at] of wanted.entries()) {
            await people(world, step, drawn)
            // A daemon that is away decides nothing; what it finds is rows.
            await world.run(arrivalsOf(world, at, step), absences[step] !== true || step % 3 === 0)
            expectSound(world, world.story.slice(-40).join('\n'))
          }
          for (let step = 0; step < 250 && !isResting(world); step += 1) await world.run([])
          const told = world.story.slice(-60).join('\n')
          expect(isResting(world), told).toBe(true)
          expectSound(world, told)
        },
      ),
      { numRuns },
    )
  })

  it('never scales down what it keeps', async () => {
    await fc.assert(
      fc.asyncProperty(draw, load, async (drawn, wanted) => {
        const world = await aWorld(drawn, { boot: 2 })
        for (const [step, at] of wanted.slice(0, 50).entries()) {
          await people(world, step, drawn)
          await world.run(arrivalsOf(world, at, step))
        }
        for (const { snapshot, planned } of world.turns) {
          const leading = snapshot.rollouts.find(({ state }) =>
            ['PREPARING', 'READY', 'CANARY', 'SWITCHED'].includes(state),
          )
          if (leading === undefined) continue
          const keptId = leading.state === 'SWITCHED' ? leading.fromImage : leading.toImage
          const kept = new Set(snapshot.hosts.filter(({ imageId }) => imageId === keptId).map(({ id }) => id))
          const removed = planned.decisions.filter(
            (decision) => decision.kind === 'drain' && kept.has(decision.hostId),
          )
          expect(removed).toEqual([])
        }
      }),
      { numRuns: Math.ceil(numRuns / 3) },
    )
  })
})

/** Lets as many users come as keep the growth of sessions, in any `window` of steps, within the buffer. */
class Growth {
  readonly #window: number
  readonly #ends = new Map<number, number>()
  /** Arrivals less ends, of the last steps. */
  readonly #net: number[] = []

  constructor(window: number) {
    this.#window = window
  }

  allow(arrivals: readonly Arrival[], step: number): readonly Arrival[] {
    const ends = this.#ends.get(step) ?? 0
    const recent = this.#net.slice(1 - this.#window)
    let [sum, most] = [0, 0]
    for (const net of recent.reverse()) most = Math.max(most, (sum += net))
    const allowed = arrivals.slice(0, Math.max(0, target - most + ends))
    for (const { lasts } of allowed) this.#ends.set(step + lasts, (this.#ends.get(step + lasts) ?? 0) + 1)
    this.#net.push(allowed.length - ends)
    return allowed
  }
}

/** Over, or waiting for what only people can say. */
function isResting(world: RolloutWorld): boolean {
  const released = world.db.versions.get('default')?.version ?? ''
  return world
    .rollouts()
    .every(
      ({ state, version }) =>
        state === 'DONE' ||
        state === 'ROLLED_BACK' ||
        ((state === 'READY' || state === 'CANARY') && !isSameVersion(version, released)),
    )
}
