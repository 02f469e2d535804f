import type { HostView, RegionSnapshot } from './snapshot.ts'
import type { Image } from './region.ts'

/**
 * Images whose free agents users may have: the ACTIVE one first, then the candidate of a roll-out that is READY or in its
 * CANARY, then RETIRED ones until their last host is fenced, the newest first. A switch that the mirror has half heard of
 * (the roll-out is SWITCHED and its image not yet ACTIVE, or two images are) takes none of them away.
 */
export function servingImages(
  snapshot: Pick<RegionSnapshot, 'images' | 'activeImage' | 'rollouts' | 'hosts'>,
): readonly Image[] {
  const { images, activeImage, rollouts, hosts } = snapshot
  // The usual case, which each assign asks for.
  if (images.length === 1 && images[0] === activeImage) return images
  const candidates = new Set(
    rollouts.flatMap(({ state, toImage }) =>
      state === 'READY' || state === 'CANARY' || state === 'SWITCHED' ? [toImage] : [],
    ),
  )
  const isUnfenced = (imageId: string) =>
    hosts.some((host) => host.imageId === imageId && mayGiveAgents(host)) ||
    rollouts.some(({ state, fromImage }) => state === 'SWITCHED' && fromImage === imageId)
  const others = images.filter(({ id, status }) => {
    if (id === activeImage?.id) return false
    if (status === 'CANDIDATE') return candidates.has(id)
    return status === 'ACTIVE' || isUnfenced(id)
  })
  const inOrder = others.toSorted(
    (one, other) => Number(candidates.has(other.id)) - Number(candidates.has(one.id)) || byAge(one, other),
  )
  return activeImage === undefined ? inOrder : [activeImage, ...inOrder]
}

/** Now or later: it is not fenced. */
function mayGiveAgents({ status, statusBefore }: HostView): boolean {
  if (status === 'UNRESPONSIVE') return statusBefore !== 'DRAINING'
  return status === 'LAUNCHING' || status === 'PRE_CONNECTION' || status === 'ACTIVE'
}

function byAge(one: Image, other: Image): number {
  return other.createdAt - one.createdAt || (one.id < other.id ? -1 : 1)
}
