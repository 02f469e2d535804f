import { describe, expect, it } from 'vitest'

import { algorithm } from '../../../scaling-algorithms/default/algorithm.ts'
import { noFaults } from '../../../src/lib/fault-points.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { Region } from '../../../src/model/region.ts'
import type { Rollout, RolloutHealth } from '../../../src/model/rollout.ts'
import type { TurnRunnerOptions } from '../../../src/reconcile/turn-runner.ts'
import { createTurnRunner } from '../../../src/reconcile/turn-runner.ts'
import type { RowIds } from '../../../src/store/fleet-store.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import type { TurnPlan } from '../../../src/store/turn-plan.ts'
import { anImage, aRegion, aRollout } from '../../support/factories.ts'
import { TestClock } from '../../support/test-clock.ts'

/** A region that lacks hosts, and a database whose answers to commits (and about roll-outs) are the test's. */
function aRunner(
  commit: (turn: number, plan: TurnPlan) => Promise<Region | undefined>,
  about: { rollout?: Rollout; after?: Rollout; health?: () => Promise<RolloutHealth> } = {},
) {
  const clock = new TestClock()
  const mirror = new Mirror({ clock, lastHeard: () => undefined, waitingUsers: () => 0 })
  mirror.apply({
    regions: [aRegion()],
    images: [anImage()],
    rollouts: about.rollout === undefined ? [] : [about.rollout],
  })
  const seen = {
    enqueued: 0,
    resumed: 0,
    wakes: 0,
    reads: 0,
    timer: undefined as number | undefined,
    asked: {} as RowIds,
  }
  const options: TurnRunnerOptions = {
    store: {
      commitTurn: (_regionId, turn, _fence, plan) => commit(turn, plan),
      readRolloutHealth: about.health ?? (() => Promise.reject(new Error('no roll-out is under way'))),
      switchRollouts: () => Promise.resolve([]),
      readRegion: async () => {
        seen.reads += 1
        return {
          region: aRegion(),
          images: [anImage()],
          hosts: [],
          agents: [],
          blocked_offerings: [],
          rollouts: [],
          versions: [],
        }
      },
      readRows: async (asked) => {
        seen.asked = asked
        return {
          regions: [],
          images: [],
          hosts: [],
          agents: [],
          blocked_offerings: [],
          rollouts: about.after === undefined ? [] : [about.after],
          versions: [],
        }
      },
    },
    mirror,
    clock,
    logger: silentLogger,
    fence: () => 1,
    isCurrent: () => true,
    policyOf: async () => ({ algorithm, options: { idle_seconds: 0 } }),
    isTerminationOpen: () => true,
    enqueue: () => (seen.enqueued += 1),
    resumeActions: () => (seen.resumed += 1),
    wake: () => (seen.wakes += 1),
    armTimer: (_regionId, at) => (seen.timer = at),
    sweepFindings: () => [],
    sweepDecided: () => undefined,
    noteHeld: () => undefined,
    fault: noFaults,
  }
  return { run: createTurnRunner(options), seen, clock, mirror }
}

const causes = [{ kind: 'change', table: 'regions' }] as const

describe('a turn', () => {
  it('hands its actions on once it is stored', async () => {
    const { run, seen } = aRunner(async (turn) => aRegion({ turn: turn + 1, revision: 2 }))
    await run('test/one', causes)
    expect(seen).toMatchObject({ enqueued: 1, resumed: 0 })
  })

  it('whose answer is lost has its actions looked for: they may be stored', async () => {
    const { run, seen, clock } = aRunner(() =>
      Promise.reject(new MusterError('database-unavailable', 'no answer', { retryable: true })),
    )
    await run('test/one', causes)
    expect(seen).toMatchObject({ enqueued: 0, resumed: 1, timer: clock.now() + 1_000 })
  })

  it('that is refused reads its region anew and is decided again at once; refused again, it backs off', async () => {
    const { run, seen, clock } = aRunner(async () => undefined)
    await run('test/one', causes)
    expect(seen).toMatchObject({ reads: 1, wakes: 1 })
    const waits: number[] = []
    for (let turn = 0; turn < 7; turn += 1) {
      await run('test/one', causes)
      waits.push(seen.timer! - clock.now())
    }
    expect(seen.wakes).toBe(1)
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_000, 1_000])
  })

  it('that takes a roll-out a step is followed by another, even when no stream tells of it', async () => {
    const rollout = aRollout({ rollbackWanted: 'it is bad' })
    const none = { sessions: 0, failed: 0 }
    const health = async () => ({ candidate: none, control: none, neverConnected: 0 })
    const stored = async (turn: number) => aRegion({ turn: turn + 1, revision: 2 })
    const stepped = { ...rollout, state: 'ROLLING_BACK' as const, revision: 2 }
    const { run, seen } = aRunner(stored, { rollout, health, after: stepped })
    await run('test/one', causes)
    expect(seen.wakes).toBe(1)
    // The image that it leads from changes with it.
    expect(seen.asked.images).toEqual(['image-3', 'image-2'])
    // What was heard of already has woken it.
    const heard = aRunner(
      async (turn) => {
        heard.mirror.apply({ rollouts: [stepped] })
        return stored(turn)
      },
      { rollout, health, after: stepped },
    )
    await heard.run('test/one', causes)
    expect(heard.seen.wakes).toBe(0)
  })

  it('judges no roll-out by what was counted for the one before it', async () => {
    const rollout = aRollout()
    const next = aRollout({ id: 'image-4', version: '4.0.0' })
    const plans: TurnPlan[] = []
    const none = { sessions: 0, failed: 0 }
    const { run, mirror } = aRunner(
      async (turn, plan) => {
        plans.push(plan)
        return aRegion({ turn: turn + 1, revision: 2 })
      },
      {
        rollout,
        health: async () => {
          mirror.apply({ rollouts: [{ ...rollout, state: 'ROLLING_BACK', revision: 2 }, next] })
          return { candidate: none, control: none, neverConnected: 3 }
        },
      },
    )
    await run('test/one', causes)
    expect(plans).toHaveLength(1)
    expect(plans[0]?.rollouts?.filter(({ id }) => id === next.id)).not.toContainEqual(
      expect.objectContaining({ to: 'ROLLING_BACK' }),
    )
  })
})
