/** A region in the middle of a roll-out from image-2 to image-3, and what its turn makes of it. */
import { algorithm } from '../../scaling-algorithms/default/algorithm.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Rollout } from '../../src/model/rollout.ts'
import type { RegionSnapshot } from '../../src/model/snapshot.ts'
import type { PlannedTurn } from '../../src/reconcile/plan-turn.ts'
import { planTurn } from '../../src/reconcile/plan-turn.ts'
import { aHost, anEvent, anImage, aRollout, aSnapshot, now } from './factories.ts'

export const old = anImage({ createdAt: now - 3_000_000 })
export const candidate = anImage({
  id: 'image-3',
  imageId: 'ami-3',
  version: '3.0.0',
  status: 'CANDIDATE',
  createdAt: now - 9_000,
})
/** The buffer of four: two hosts of each image. */
export const oldHosts = [aHost({ id: 'h1' }), aHost({ id: 'h2' })]
export const newHosts = ['h3', 'h4'].map((id) => aHost({ id, imageId: 'image-3', version: '3.0.0' }))

export type Changes = Partial<Omit<RegionSnapshot, 'region'>> & { readonly region?: object }

export function during(rollout: Partial<Rollout>, changes: Changes = {}): RegionSnapshot {
  const isSwitched = ['SWITCHED', 'DRAINING', 'DONE'].includes(rollout.state ?? '')
  const images = isSwitched
    ? [
        { ...old, status: 'RETIRED' as const },
        { ...candidate, status: 'ACTIVE' as const },
      ]
    : [
        old,
        { ...candidate, status: rollout.state === 'ROLLING_BACK' ? ('RETIRED' as const) : candidate.status },
      ]
  return aSnapshot({
    images,
    activeImage: images.find(({ status }) => status === 'ACTIVE'),
    hosts: [...oldHosts, ...newHosts],
    rollouts: [aRollout(rollout)],
    ...changes,
    region: { maxHosts: 10, maxSurgeHosts: 4, ...changes.region },
  })
}

export const plan = (snapshot: RegionSnapshot): PlannedTurn =>
  planTurn({ snapshot, event: anEvent(), algorithm, options: { idle_seconds: 0 } })

export function stepOf(snapshot: RegionSnapshot): Decision | undefined {
  return plan(snapshot).decisions.find(({ kind }) => kind === 'rollout')
}

export const drained = (snapshot: RegionSnapshot): readonly string[] =>
  plan(snapshot).decisions.flatMap((one) => (one.kind === 'drain' ? [one.hostId] : []))
