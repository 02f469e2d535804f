import type { Image } from './region.ts'
import type { RegionSnapshot } from './snapshot.ts'

/**
 * Images whose free agents users may have: the ACTIVE one first, then the candidate of a roll-out that is READY or in its
 * CANARY, then RETIRED ones until their last host is fenced, the newest first.
 */
export function servingImages(
  snapshot: Pick<RegionSnapshot, 'images' | 'activeImage' | 'rollouts' | 'hosts'>,
): readonly Image[] {
  const { images, activeImage, rollouts, hosts } = snapshot
  const candidates = new Set(
    rollouts.flatMap(({ state, toImage }) => (state === 'READY' || state === 'CANARY' ? [toImage] : [])),
  )
  const unfenced = new Set(hosts.flatMap(({ status, imageId }) => (status === 'ACTIVE' ? [imageId] : [])))
  const others = images.filter(
    ({ id, status }) =>
      (status === 'CANDIDATE' && candidates.has(id)) || (status === 'RETIRED' && unfenced.has(id)),
  )
  const inOrder = others.toSorted(
    (one, other) => Number(candidates.has(other.id)) - Number(candidates.has(one.id)) || byAge(one, other),
  )
  return activeImage === undefined ? inOrder : [activeImage, ...inOrder]
}

function byAge(one: Image, other: Image): number {
  return other.createdAt - one.createdAt || (one.id < other.id ? -1 : 1)
}
