/**
 * What the mirror says of a region at this moment: whether it takes a request, from which images, and whom to offer first.
 * It may be a moment behind the database, so it refuses a request for what people set (enabled, versions), never for a lack
 * of capacity: that only a claim knows.
 */
import type { Logger } from '../lib/logger.ts'
import type { AssignRequest } from '../model/assignment.ts'
import { isSameVersion } from '../model/version.ts'
import type { FleetView } from '../store/fleet-view.ts'
import { isChosen } from './canary.ts'
import type { Choice, ImageOutlook, Outlook } from './outlook.ts'
import { outlookOf } from './outlook.ts'
import type { MissOutcome, Rank, ServedVersions, Sessions } from './seams.ts'
import type { Ticket } from './ticket.ts'

/** More would only make the claim slower: past them it takes any free agent of the image. */
const mostCandidates = 32

export interface Offer {
  /** Agent ids, in order of preference. */
  readonly candidates: readonly string[]
  readonly excludedHosts: readonly string[]
}

/** What somebody waits for in a region. */
export interface Wish {
  /** `images.id` of all that will do. */
  readonly images: readonly string[]
  /** The first of them, where the ACTIVE one is not among them. */
  readonly other: string | undefined
}

export class Placement {
  readonly #view: FleetView
  readonly #sessions: Sessions
  readonly #rank: Rank
  readonly #logger: Logger
  readonly #outlooks = new Map<string, Outlook>()
  /** Agents that were claimed here and that the mirror may still show as free, by region and image. */
  readonly #spent = new Map<string, Map<string, Set<string>>>()

  constructor(view: FleetView, sessions: Sessions, rank: Rank, logger: Logger) {
    this.#view = view
    this.#sessions = sessions
    this.#rank = rank
    this.#logger = logger
  }

  /** The region changed: what is held of it is looked up again when it is next needed. */
  forget(regionId: string): void {
    this.#outlooks.delete(regionId)
  }

  isEnabled(regionId: string): boolean {
    return this.#outlook(regionId)?.snapshot.region.enabled ?? false
  }

  /** What `refusal` and `choices` follow from, as one word. */
  terms(regionId: string): string {
    return this.#outlook(regionId)?.terms ?? ''
  }

  /** What people set, as the mirror has it. */
  refusal(regionId: string, { version }: AssignRequest): MissOutcome | undefined {
    const outlook = this.#outlook(regionId)
    if (outlook?.snapshot.region.enabled !== true) return 'region-not-enabled'
    if (version === undefined || outlook.images.size === 0) return undefined
    return ofVersion(outlook, version).length === 0 ? 'version-mismatch' : undefined
  }

  /** Versions that each enabled region serves, of the ACTIVE image first. */
  servedVersions(regionIds: readonly string[]): ServedVersions {
    const served: [string, readonly string[]][] = []
    for (const regionId of regionIds) {
      const outlook = this.#outlook(regionId)
      if (outlook?.snapshot.region.enabled !== true) continue
      const versions = [...outlook.images.values()].map(({ image }) => image.version)
      served.push([regionId, [...new Set(versions)]])
    }
    return Object.fromEntries(served)
  }

  /** What the request may have in the region, best first. */
  choices(regionId: string, { request, failedIn }: Ticket): readonly Choice[] {
    const outlook = this.#outlook(regionId)
    if (outlook === undefined) return []
    if (request.version !== undefined) return ofVersion(outlook, request.version)
    const { canary } = outlook
    if (canary === undefined) return outlook.anyVersion
    const { id, canaryShare } = canary.rollout
    if (!isChosen(id, request.userId, canaryShare)) return canary.unchosen
    return failedIn.has(id) ? canary.failed : canary.chosen
  }

  wish(regionId: string, ticket: Ticket): Wish {
    const images = this.choices(regionId, ticket).map(({ imageId }) => imageId)
    const activeId = this.#outlook(regionId)?.activeId
    return { images, other: images.some((id) => id === activeId) ? undefined : images[0] }
  }

  offer(regionId: string, imageId: string, request: AssignRequest): Offer {
    const image = this.#outlook(regionId)?.images.get(imageId)
    if (image === undefined) return { candidates: [], excludedHosts: [] }
    const excludedHosts: string[] = []
    for (const host of image.hosts()) if (!this.#sessions.isConnected(host.id)) excludedHosts.push(host.id)
    const candidates = new Set(this.#preferred(regionId, image, request))
    for (const id of this.#free(regionId, image)) {
      if (candidates.size >= mostCandidates) break
      candidates.add(id)
    }
    return { candidates: [...candidates], excludedHosts }
  }

  /** Whether the mirror shows an agent of the image that a claim could take now. */
  hasFree(regionId: string, imageId: string): boolean {
    const image = this.#outlook(regionId)?.images.get(imageId)
    return image !== undefined && this.#free(regionId, image).next().done !== true
  }

  /** The agent's status as the mirror has it; undefined when it holds no such agent. */
  agentStatus(regionId: string, hostId: string, agentId: string): string | undefined {
    const host = this.#outlook(regionId)?.snapshot.hosts.find((candidate) => candidate.id === hostId)
    return host?.agents.find((agent) => agent.id === agentId)?.status
  }

  /** The agent was claimed: do not offer it again while the mirror has not heard of it. */
  spend(regionId: string, imageId: string, agentId: string): void {
    const images = this.#outlook(regionId)?.images
    const ofRegion = this.#spent.get(regionId) ?? new Map<string, Set<string>>()
    this.#spent.set(regionId, ofRegion)
    for (const id of ofRegion.keys()) if (images?.has(id) !== true) ofRegion.delete(id)
    const ofImage = ofRegion.get(imageId) ?? new Set<string>()
    ofRegion.set(imageId, ofImage)
    const waiting = images?.get(imageId)?.waiting()
    // What the mirror no longer shows as free needs no remembering.
    for (const id of ofImage) if (waiting?.has(id) !== true) ofImage.delete(id)
    ofImage.add(agentId)
  }

  /** Free agents, the fullest host's first. */
  *#free(regionId: string, image: ImageOutlook): Generator<string, undefined> {
    for (const id of image.waiting().keys()) if (this.#isFree(regionId, image, id)) yield id
    return undefined
  }

  #isFree(regionId: string, { image, waiting }: ImageOutlook, agentId: string): boolean {
    const hostId = waiting().get(agentId)
    if (hostId === undefined || !this.#sessions.isConnected(hostId)) return false
    return this.#spent.get(regionId)?.get(image.id)?.has(agentId) !== true
  }

  /** What the region's algorithm would offer first. It may name anything: what is not free is left out. */
  #preferred(regionId: string, image: ImageOutlook, request: AssignRequest): readonly string[] {
    try {
      const ranked = this.#rank(regionId, image.snapshot(), request) ?? []
      return ranked.filter((id) => this.#isFree(regionId, image, id)).slice(0, mostCandidates)
    } catch (error) {
      this.#logger.error({ region: regionId, err: error }, 'the algorithm cannot rank: fullest host first')
      return []
    }
  }

  #outlook(regionId: string): Outlook | undefined {
    const held = this.#outlooks.get(regionId)
    if (held !== undefined) return held
    const snapshot = this.#view.snapshot(regionId)
    if (snapshot === undefined) return undefined
    const outlook = outlookOf(snapshot)
    this.#outlooks.set(regionId, outlook)
    return outlook
  }
}

function ofVersion({ images }: Outlook, version: string): readonly Choice[] {
  const choices: Choice[] = []
  for (const { image, choice } of images.values()) {
    if (isSameVersion(image.version, version)) choices.push(choice)
  }
  return choices
}
