/**
 * Which images of a region are kept in size: their hosts stay, and the algorithm is asked for each of them.
 *
 *   active      what is ACTIVE
 *   candidate   what a roll-out leads to: its buffer is filled and kept, nobody scales it down
 *   old         what a roll-out has led from, as long as it may go back: as it is, nobody scales it down
 *
 * The images and the roll-out are read one after the other, so one may be a moment ahead of the other: whatever a leading
 * roll-out names is kept, whichever of the two is ACTIVE.
 */
import type { Image } from '../model/region.ts'
import type { Rollout } from '../model/rollout.ts'
import { leadingRollout } from '../model/rollout.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'

export interface KeptImage {
  readonly image: Image
  readonly role: 'active' | 'candidate' | 'old'
  /** The roll-out that keeps its hosts from being scaled down. */
  readonly keeper: Rollout | undefined
}

type Seen = Pick<RegionSnapshot, 'images' | 'activeImage' | 'rollouts'>

/** The ACTIVE one first: it takes its room before a candidate does. */
export function keptImages(snapshot: Seen): readonly KeptImage[] {
  const { activeImage } = snapshot
  const leading = leadingRollout(snapshot)
  const kept: KeptImage[] = []
  if (activeImage !== undefined) kept.push({ image: activeImage, role: 'active', keeper: undefined })
  if (leading === undefined) return kept
  const isSwitched = leading.state === 'SWITCHED'
  for (const id of [leading.toImage, leading.fromImage]) {
    const image = imageOf(snapshot, id)
    if (image === undefined || id === activeImage?.id) continue
    kept.push({ image, role: id === leading.fromImage && isSwitched ? 'old' : 'candidate', keeper: leading })
  }
  return kept
}

export function imageOf({ images }: Pick<RegionSnapshot, 'images'>, id: string): Image | undefined {
  return images.find((image) => image.id === id)
}
