/**
 * What the mirror says of a region at this moment: whether it takes requests and whom to offer first. It may be a
 * moment behind the database, so it refuses a request for what people set (enabled, image, version), never for a lack
 * of capacity: that only a claim knows. Made anew only after the region changed, since it costs the size of the region.
 */
import type { Logger } from '../lib/logger.ts'
import type { AssignRequest } from '../model/assignment.ts'
import type { Image } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import type { FleetView } from '../store/fleet-view.ts'
import type { Rank, Sessions } from './seams.ts'

/** More would only make the claim slower: past them it takes any free agent of the region. */
const mostCandidates = 32

interface Outlook {
  readonly snapshot: RegionSnapshot
  readonly image: Image | undefined
  /** ACTIVE hosts of the ACTIVE image. */
  readonly serving: readonly HostView[]
  /** Their WAITING agents, each with its host: the fullest host's first. */
  readonly waiting: ReadonlyMap<string, string>
}

export interface Offer {
  /** Agent ids, in order of preference. */
  readonly candidates: readonly string[]
  readonly excludedHosts: readonly string[]
}

export class Placement {
  readonly #view: FleetView
  readonly #sessions: Sessions
  readonly #rank: Rank
  readonly #logger: Logger
  readonly #outlooks = new Map<string, Outlook>()
  /** Agents that were claimed here and that the mirror may still show as free, by region. */
  readonly #spent = new Map<string, Set<string>>()

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

  image(regionId: string): Image | undefined {
    return this.#outlook(regionId)?.image
  }

  offer(regionId: string, request: AssignRequest): Offer {
    const outlook = this.#outlook(regionId)
    if (outlook === undefined) return { candidates: [], excludedHosts: [] }
    const excludedHosts: string[] = []
    for (const host of outlook.serving) {
      if (!this.#sessions.isConnected(host.id)) excludedHosts.push(host.id)
    }
    const candidates = new Set(this.#preferred(regionId, outlook, request))
    for (const id of this.#free(regionId, outlook)) {
      if (candidates.size >= mostCandidates) break
      candidates.add(id)
    }
    return { candidates: [...candidates], excludedHosts }
  }

  /** Whether the mirror shows an agent that a claim could take now. */
  hasFree(regionId: string): boolean {
    const outlook = this.#outlook(regionId)
    return outlook !== undefined && this.#free(regionId, outlook).next().done !== true
  }

  /** The agent's status as the mirror has it; undefined when it holds no such agent. */
  agentStatus(regionId: string, hostId: string, agentId: string): string | undefined {
    const host = this.#outlook(regionId)?.snapshot.hosts.find((candidate) => candidate.id === hostId)
    return host?.agents.find((agent) => agent.id === agentId)?.status
  }

  /** The agent was claimed: do not offer it again while the mirror has not heard of it. */
  spend(regionId: string, agentId: string): void {
    const spent = this.#spent.get(regionId)
    if (spent === undefined) this.#spent.set(regionId, new Set([agentId]))
    else spent.add(agentId)
  }

  /** Free agents, the fullest host's first. */
  *#free(regionId: string, outlook: Outlook): Generator<string, undefined> {
    for (const id of outlook.waiting.keys()) if (this.#isFree(regionId, outlook, id)) yield id
    return undefined
  }

  #isFree(regionId: string, outlook: Outlook, agentId: string): boolean {
    const hostId = outlook.waiting.get(agentId)
    if (hostId === undefined || !this.#sessions.isConnected(hostId)) return false
    return this.#spent.get(regionId)?.has(agentId) !== true
  }

  /** What the region's algorithm would offer first. It may name anything: what is not free is left out. */
  #preferred(regionId: string, outlook: Outlook, request: AssignRequest): readonly string[] {
    try {
      const ranked = this.#rank(regionId, outlook.snapshot, request) ?? []
      return ranked.filter((id) => this.#isFree(regionId, outlook, id)).slice(0, mostCandidates)
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
    const image = snapshot.activeImage
    const serving = snapshot.hosts.filter((host) => host.status === 'ACTIVE' && host.imageId === image?.id)
    const outlook = { snapshot, image, serving, waiting: waitingAgents(serving) }
    this.#outlooks.set(regionId, outlook)
    this.#forgetSpent(regionId, outlook)
    return outlook
  }

  /** What the mirror no longer shows as free needs no remembering. */
  #forgetSpent(regionId: string, { waiting }: Outlook): void {
    const spent = this.#spent.get(regionId)
    for (const id of spent ?? []) if (!waiting.has(id)) spent?.delete(id)
  }
}

/** The fullest host is the one with the fewest agents left: so the others empty, and can go. */
function waitingAgents(serving: readonly HostView[]): ReadonlyMap<string, string> {
  const offering = serving
    .filter((host) => host.waitingAgents > 0)
    .sort((a, b) => a.waitingAgents - b.waitingAgents || (a.id < b.id ? -1 : 1))
  const waiting = new Map<string, string>()
  for (const host of offering) {
    for (const agent of host.agents) if (agent.status === 'WAITING') waiting.set(agent.id, host.id)
  }
  return waiting
}
