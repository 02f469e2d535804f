/**
 * What a region's snapshot says to placement: which images serve, and what a request may have. Made once after a change of the
 * region; what costs the size of an image's hosts is made when that image is first asked for.
 */
import type { RolloutArm } from '../model/assignment.ts'
import type { Image } from '../model/region.ts'
import type { Rollout } from '../model/rollout.ts'
import { leadingRollout } from '../model/rollout.ts'
import { servingImages } from '../model/serving-images.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

/** An image that a request may be served from, and how a canary counts it then. */
export interface Choice {
  readonly imageId: string
  readonly rolloutId: string | null
  readonly arm: RolloutArm | null
}

export interface ImageOutlook {
  readonly image: Image
  /** For who asks for its version. */
  readonly choice: Choice
  /** The region as if it had no other image. */
  readonly snapshot: () => RegionSnapshot
  /** Its ACTIVE hosts. */
  readonly hosts: () => readonly HostView[]
  /** Their WAITING agents, each with its host: the fullest host's first. */
  readonly waiting: () => ReadonlyMap<string, string>
}

/** What a request without a version may have while a candidate is tried, best first. */
interface CanaryOutlook {
  readonly rollout: Rollout
  readonly chosen: readonly Choice[]
  readonly unchosen: readonly Choice[]
  /** Of those chosen, whom the candidate has failed. */
  readonly failed: readonly Choice[]
}

export interface Outlook {
  readonly snapshot: RegionSnapshot
  readonly activeId: string | undefined
  /** Those that serve, in the order of `servingImages`. */
  readonly images: ReadonlyMap<string, ImageOutlook>
  /** What a request without a version may have; none: no image is ACTIVE. */
  readonly anyVersion: readonly Choice[]
  readonly canary: CanaryOutlook | undefined
  /** All of the above as one word. */
  readonly terms: string
}

export function outlookOf(snapshot: RegionSnapshot): Outlook {
  const images = new Map(servingImages(snapshot).map((image) => [image.id, imageOutlook(image, snapshot)]))
  const activeId = activeIdOf(snapshot)
  const active = activeId === undefined ? undefined : images.get(activeId)
  const canary = canaryOf(snapshot, images, active)
  const share = canary === undefined ? '' : `${canary.rollout.id} ${canary.rollout.canaryShare}`
  return {
    snapshot,
    activeId,
    images,
    anyVersion: active === undefined ? [] : [active.choice],
    canary,
    terms: [snapshot.region.enabled, activeId, share, ...images.keys()].join('\n'),
  }
}

function canaryOf(
  { rollouts }: RegionSnapshot,
  images: ReadonlyMap<string, ImageOutlook>,
  active: ImageOutlook | undefined,
): CanaryOutlook | undefined {
  const rollout = rollouts.find(({ state, canaryShare }) => state === 'CANARY' && canaryShare > 0)
  const candidate = rollout === undefined ? undefined : images.get(rollout.toImage)?.image
  // By its status it may be switched or rolled back already, its roll-out's row being on its way.
  if (rollout === undefined || candidate?.status !== 'CANDIDATE') return undefined
  const choices = (image: Image | undefined, arm: RolloutArm): readonly Choice[] =>
    image === undefined ? [] : [{ imageId: image.id, rolloutId: rollout.id, arm }]
  const fallback = choices(active?.image, 'fallback')
  return {
    rollout,
    chosen: [...choices(candidate, 'candidate'), ...fallback],
    unchosen: choices(active?.image, 'control'),
    failed: fallback,
  }
}

/** Between two rows of one swap none may be ACTIVE in the mirror; what a roll-out leads from and to changes with it alone. */
function activeIdOf(snapshot: RegionSnapshot): string | undefined {
  const { activeImage, images, rollouts } = snapshot
  if (activeImage !== undefined) return activeImage.id
  const leading = leadingRollout(snapshot)
  if (leading === undefined) {
    return rollouts.find(({ state, switchedAt }) => state === 'ROLLING_BACK' && switchedAt !== null)
      ?.fromImage
  }
  if (leading.state === 'PREPARING') return undefined
  const candidate = images.find(({ id }) => id === leading.toImage)
  return candidate?.status === 'RETIRED' ? leading.fromImage : leading.toImage
}

function imageOutlook(image: Image, snapshot: RegionSnapshot): ImageOutlook {
  const narrowed = once(() => narrow(snapshot, image))
  const hosts = once(() => narrowed().hosts.filter(({ status }) => status === 'ACTIVE'))
  return {
    image,
    choice: { imageId: image.id, rolloutId: null, arm: null },
    snapshot: narrowed,
    hosts,
    waiting: once(() => waitingAgents(hosts())),
  }
}

function narrow(snapshot: RegionSnapshot, image: Image): RegionSnapshot {
  const isItsOwn = ({ imageId }: HostView) => imageId === image.id
  if (snapshot.activeImage?.id === image.id && snapshot.hosts.every(isItsOwn)) return snapshot
  return { ...snapshot, activeImage: image, hosts: snapshot.hosts.filter(isItsOwn) }
}

/** The fullest host is the one with the fewest agents left: so the others empty, and can go. */
function waitingAgents(hosts: readonly HostView[]): ReadonlyMap<string, string> {
  const offering = hosts
    .filter((host) => host.waitingAgents > 0)
    .sort((a, b) => a.waitingAgents - b.waitingAgents || (a.id < b.id ? -1 : 1))
  const waiting = new Map<string, string>()
  for (const host of offering) {
    for (const agent of host.agents) if (agent.status === 'WAITING') waiting.set(agent.id, host.id)
  }
  return waiting
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}
