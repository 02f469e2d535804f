/**
 * Randomised fault schedules: the daemon's own parts on the store in memory and the fake cloud, in simulated time, while
 * calls are lost, late, repeated, and the daemon is killed before, under way and after them. Lean runs 24 of them, the whole
 * proof 200; MUSTER_SIMULATION_SEED runs one.
 */
import { describe, expect, it } from 'vitest'

import type { Action } from '../../src/model/action.ts'
import type { LaunchSpec } from '../../src/model/host-handler.ts'
import { faultKinds } from '../../src/simulation/faults.ts'
import type { SimulatedCloud, WorldParts } from '../../src/simulation/world.ts'
import type { FleetStore } from '../../src/store/fleet-store.ts'
import { allPairs, createCloud, disturbedCalls, runSchedule } from '../support/simulated-fleet.ts'
import { runs } from '../support/thoroughness.ts'

const only = process.env['MUSTER_SIMULATION_SEED']
const count = runs(24, 200)
/** Schedules that are added for what chance has left out. */
const mostExtra = 24

describe('the daemon', () => {
  it.runIf(only === undefined)(
    'loses, doubles and forgets no machine, whatever happens to its calls',
    async () => {
      const hits = new Map<string, number>()
      const failures: string[] = []
      const run = async (seed: number, focus?: readonly string[]): Promise<void> => {
        const outcome = await runSchedule(seed, focus === undefined ? {} : { focus })
        for (const [pair, times] of outcome.hits) hits.set(pair, (hits.get(pair) ?? 0) + times)
        if (outcome.violation === undefined) return
        const replay = `node test/support/fault-schedule-program.ts ${seed}${focus === undefined ? '' : ` '${focus.join()}'`}`
        failures.push(`seed ${seed}: ${outcome.violation}\n  its story: ${replay}`)
      }
      const missing = () => allPairs.filter((pair) => !hits.has(pair))
      for (let seed = 1; seed <= count; seed += 1) await run(seed)
      for (let extra = 1; extra <= mostExtra && missing().length > 0; extra += 1) {
        await run(count + extra, [...missing().slice(0, 16), 'cloud.launch repeated'])
      }
      console.log(tableOf(hits))
      expect(failures).toEqual([])
      expect(missing()).toEqual([])
    },
    600_000,
  )

  it.runIf(only !== undefined)('stands the schedule of MUSTER_SIMULATION_SEED', async () => {
    const { story, violation } = await runSchedule(Number(only), { keepsStory: true })
    expect(violation, story.slice(-80).join('\n')).toBeUndefined()
  })

  it('lives the same story again from the same seed', async () => {
    const digests = []
    for (const seed of [5, 5, 6]) digests.push((await runSchedule(seed)).digest)
    expect(digests[1]).toBe(digests[0])
    expect(digests[2]).not.toBe(digests[0])
  })
})

describe('a broken daemon is found out, which', () => {
  const cloudThat =
    (changes: (cloud: SimulatedCloud) => Partial<SimulatedCloud['handler']>): WorldParts['createCloud'] =>
    (context) => {
      const cloud = createCloud(context)
      return { ...cloud, handler: { ...cloud.handler, ...changes(cloud) } }
    }
  const storeThat =
    (changes: (store: FleetStore) => Partial<FleetStore>): NonNullable<WorldParts['breakStore']> =>
    (store) => ({ ...store, ...changes(store) })
  const isLaunch = (action: Action): boolean => action.kind === 'launch'

  const broken: Readonly<Record<string, () => Partial<WorldParts>>> = {
    'sends each repeat of a launch with a token of its own': () => {
      let calls = 0
      return {
        createCloud: cloudThat(({ handler }) => ({
          launch: (spec: LaunchSpec, signal) =>
            handler.launch({ ...spec, token: `${spec.token}${(calls += 1)}` }, signal),
        })),
      }
    },
    'stores a launch without its rows': () => ({
      breakStore: storeThat((store) => ({
        commitTurn: (regionId, turn, fence, plan) =>
          store.commitTurn(regionId, turn, fence, { ...plan, hosts: [] }),
      })),
    }),
    'does not see in its sweep which launches are open': () => ({
      breakStore: storeThat((store) => ({
        readSweepRows: async (...asked) => {
          const rows = await store.readSweepRows(...asked)
          return { ...rows, openActions: rows.openActions.filter(({ kind }) => kind !== 'launch') }
        },
      })),
    }),
    'takes machines for strangers without reading whose rows name them': () => ({
      breakStore: storeThat((store) => ({
        readSweepRows: async (...asked) => {
          const rows = await store.readSweepRows(...asked)
          return { ...rows, hosts: [], named: [] }
        },
      })),
    }),
    'forgets after a kill which launches are open': () => ({
      breakStore: storeThat((store) => ({
        readOpenActions: async () => (await store.readOpenActions()).filter((action) => !isLaunch(action)),
      })),
    }),
    'takes an accepted termination for its end': () => ({
      createCloud: cloudThat(({ handler }) => ({
        terminate: async (cloudIds, signal, region) => {
          await handler.terminate(cloudIds, signal, region)
          return new Map(cloudIds.map((id) => [id, 'gone']))
        },
      })),
    }),
  }

  it.each(Object.keys(broken))('%s', async (name) => {
    const found: string[] = []
    for (let seed = 1; seed <= 25 && found.length === 0; seed += 1) {
      const { violation } = await runSchedule(seed, { parts: broken[name]!() })
      if (violation !== undefined) found.push(violation)
    }
    expect(found).toHaveLength(1)
  })
})

/** How often each call met each fault. */
function tableOf(hits: ReadonlyMap<string, number>): string {
  const width = Math.max(...disturbedCalls.map((call) => call.length))
  const line = (name: string, cells: readonly (string | number)[]): string =>
    [
      name.padEnd(width),
      ...cells.map((cell, place) => String(cell).padStart(faultKinds[place]!.length)),
    ].join(' ')
  const rows = disturbedCalls.map((call) =>
    line(
      call,
      faultKinds.map((fault) => hits.get(`${call} ${fault}`) ?? 0),
    ),
  )
  return [line('', faultKinds), ...rows].join('\n')
}
