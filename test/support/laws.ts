/**
 * The laws of every scaling algorithm, as properties over random snapshots. They look at what the algorithm itself
 * plans, before any guard: the guard is for strangers, and an algorithm of this house needs none.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exchangedHosts, launchRoom } from '../../src/model/leaving.ts'
import { isServing } from '../../src/model/serving.ts'
import type { AlgorithmDecision } from '../../src/model/decision.ts'
import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'
import { guard } from '../../src/reconcile/guard.ts'
import { project } from '../../src/reconcile/projection.ts'
import { someEvent, someSnapshot } from './arbitraries.ts'
import { deepFreeze } from './deep-freeze.ts'
import { aHost, aTick } from './factories.ts'

export function itKeepsTheLaws<Options>(
  algorithm: ScalingAlgorithm<Options>,
  someOptions: fc.Arbitrary<Options>,
): void {
  const holds = (
    law: (plan: readonly AlgorithmDecision[], snapshot: RegionSnapshot, options: Options) => void,
  ) => {
    fc.assert(
      fc.property(someSnapshot, someEvent, someOptions, (snapshot, event, options) => {
        law(algorithm.plan(snapshot, event, options), snapshot, options)
      }),
      { numRuns: 500 },
    )
  }

  describe(`the laws, kept by ${algorithm.name}`, () => {
    it('never goes above max_hosts, but beside hosts that their provider takes', () => {
      holds((plan, snapshot) => {
        const launched = launchedBy(plan)
        if (launched > 0) expect(launched).toBeLessThanOrEqual(launchRoom(snapshot))
      })
    })

    it('never goes below min_hosts', () => {
      holds((plan, snapshot) => {
        const serving = snapshot.hosts.filter((host) => isServing(host, snapshot))
        const removed = removedBy(plan).filter((id) => serving.some((host) => host.id === id))
        if (removed.length === 0) return
        expect(serving.length - removed.length).toBeGreaterThanOrEqual(snapshot.region.minHosts)
      })
    })

    it('never takes down a busy, protected, broken, exchanged or unknown host, nor one twice', () => {
      holds((plan, snapshot) => {
        const removed = removedBy(plan)
        expect(new Set(removed).size).toBe(removed.length)
        for (const id of removed) {
          const host = snapshot.hosts.find((candidate) => candidate.id === id)
          expect(host).toMatchObject({ liveAgents: 0, protected: false, status: 'ACTIVE' })
          expect(exchangedHosts(snapshot)).not.toContain(id)
        }
      })
    })

    it('launches only the ACTIVE image, in whole hosts, and only while it may', () => {
      holds((plan, snapshot) => {
        for (const decision of plan) {
          if (decision.kind !== 'launch') continue
          expect(decision.imageId).toBe(snapshot.activeImage?.id)
          expect(Number.isInteger(decision.count) && decision.count >= 1).toBe(true)
          expect(snapshot.region.enabled).toBe(true)
          expect(snapshot.launchBlockedUntil ?? 0).toBeLessThanOrEqual(snapshot.now)
        }
      })
    })

    it('takes nothing down but on a tick', () => {
      fc.assert(
        fc.property(someSnapshot, someOptions, (snapshot, options) => {
          const event = { regionId: snapshot.region.id, causes: [{ kind: 'deadline' } as const] }
          expect(removedBy(algorithm.plan(snapshot, event, options))).toEqual([])
        }),
      )
    })

    it('has nothing left to do once its plan is done', () => {
      fc.assert(
        fc.property(someSnapshot, someOptions, (snapshot, options) => {
          const after = carryOut(snapshot, algorithm.plan(snapshot, aTick, options))
          const again = algorithm.plan(after, aTick, options)
          expect(again.filter((decision) => decision.kind !== 'refuse')).toEqual([])
        }),
        { numRuns: 1000 },
      )
    })

    it('gives the same plan for the same snapshot, as plain JSON, and writes nothing to the snapshot', () => {
      fc.assert(
        fc.property(someSnapshot, someEvent, someOptions, (snapshot, event, options) => {
          const plan = algorithm.plan(deepFreeze(snapshot), deepFreeze(event), deepFreeze(options))
          expect(algorithm.plan(structuredClone(snapshot), event, options)).toEqual(plan)
          expect(JSON.parse(JSON.stringify(plan))).toStrictEqual(plan)
        }),
      )
    })

    it('passes the guard untouched', () => {
      holds((plan, snapshot) => expect(guard(snapshot, plan)).toEqual(plan))
    })
  })
}

function launchedBy(plan: readonly AlgorithmDecision[]): number {
  return plan.reduce((sum, decision) => sum + (decision.kind === 'launch' ? decision.count : 0), 0)
}

function removedBy(plan: readonly AlgorithmDecision[]): readonly string[] {
  return plan.flatMap((decision) => ('hostId' in decision ? [decision.hostId] : []))
}

/** The snapshot right after the plan: launched hosts are LAUNCHING, drained ones DRAINING. */
function carryOut(snapshot: RegionSnapshot, plan: readonly AlgorithmDecision[]): RegionSnapshot {
  const drained = project(
    snapshot,
    plan.filter((decision) => decision.kind !== 'launch'),
  )
  const launched = Array.from({ length: launchedBy(plan) }, (_, index): HostView =>
    aHost({ id: `launched-${index}`, status: 'LAUNCHING', capacity: snapshot.region.agentsPerHost }),
  )
  return { ...drained, hosts: [...drained.hosts, ...launched] }
}
