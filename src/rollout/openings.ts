/** Which roll-out begins: the newest CANDIDATE's, or the newest of the version that the channel has. */
import type { RolloutOpening } from '../model/decision.ts'
import type { Image } from '../model/region.ts'
import type { Rollout } from '../model/rollout.ts'
import { leadingRollout } from '../model/rollout.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import { isSameVersion } from '../model/version.ts'
import { imageOf } from './kept-images.ts'

/** A CANDIDATE that has had no roll-out: what one has led to is ACTIVE or RETIRED when it is over. */
export function opening(snapshot: RegionSnapshot): RolloutOpening | undefined {
  const { activeImage, region, rollouts } = snapshot
  if (activeImage === undefined || !region.enabled) return undefined
  const known = new Set(rollouts.map(({ toImage }) => toImage))
  const fresh = snapshot.images.filter(({ id, status }) => status === 'CANDIDATE' && !known.has(id))
  if (fresh.length === 0) return undefined
  const released = fresh.filter((image) => isReleased(image, snapshot))
  const leading = leadingRollout(snapshot)
  const rival = leading === undefined ? activeImage : (imageOf(snapshot, leading.toImage) ?? activeImage)
  // What clients have now goes before what is newest.
  const best = newest(isReleased(rival, snapshot) || released.length === 0 ? fresh : released)
  if (best === undefined) return undefined
  const isWanted = isReleased(best, snapshot) && !isReleased(rival, snapshot)
  if (!isWanted && best.createdAt <= rival.createdAt) return undefined
  const reason = isWanted
    ? `channel ${region.channel} has its version ${best.version}`
    : `${best.version} is the newest candidate`
  return { kind: 'open-rollout', rolloutId: best.id, reason: `${reason}; ${activeImage.version} is ACTIVE` }
}

/** The way back of a roll-out whose old hosts drain already: forward, to a copy of the old image. */
export function wayBack(rollout: Rollout, why: string): RolloutOpening {
  return {
    kind: 'open-rollout',
    rolloutId: `${rollout.id}:back`,
    copies: rollout.fromImage,
    // A person who asked for it need not ask again.
    switchWanted: why === rollout.rollbackWanted,
    reason: why,
  }
}

function isReleased({ version }: Image, { channelVersion }: RegionSnapshot): boolean {
  return channelVersion !== undefined && isSameVersion(version, channelVersion)
}

function newest(images: readonly Image[]): Image | undefined {
  return images.toSorted((one, other) => other.createdAt - one.createdAt || (one.id < other.id ? -1 : 1))[0]
}
