import type { Host } from './host.ts'
import type { RegionSnapshot } from './snapshot.ts'

/**
 * Whether a host counts for `minHosts`: LAUNCHING, PRE_CONNECTION or ACTIVE, and of the ACTIVE image. A host of an
 * older image gets no new users, so it can hold up no minimum; were it counted, a swap of images would leave it standing
 * for ever. While no image is ACTIVE, hosts of every image count, so that nothing is taken down between two images.
 */
export function isServing(
  host: Pick<Host, 'status' | 'imageId'>,
  snapshot: Pick<RegionSnapshot, 'activeImage'>,
): boolean {
  if (host.status !== 'ACTIVE' && host.status !== 'PRE_CONNECTION' && host.status !== 'LAUNCHING')
    return false
  return snapshot.activeImage === undefined || host.imageId === snapshot.activeImage.id
}
