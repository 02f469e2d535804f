/**
 * The rows of one region in memory. A row is applied only if its revision is higher than what is held; a deletion
 * leaves a tombstone until the next rebuild, so that a late answer cannot bring the row back; a rebuild merges by
 * revision and removes only rows that were held before it began. TERMINATED hosts and roll-outs that are over are not held;
 * RETIRED images are until a rebuild finds that none of their hosts stands, and that no open roll-out leads from them.
 *
 * Snapshots share what did not change: a host's view is made anew only when the host or one of its agents was.
 */
import type { Agent } from '../model/agent.ts'
import { isLive } from '../model/agent.ts'
import type { Host } from '../model/host.ts'
import type { BlockedOffering } from '../model/offering.ts'
import type { Image, Region } from '../model/region.ts'
import type { ChannelVersion, Rollout } from '../model/rollout.ts'
import { isOver } from '../model/rollout.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import type { RegionRows } from './fleet-store.ts'
import { HeldRows } from './held-rows.ts'

export interface SnapshotInputs {
  readonly now: number
  /** 0 unless told: always. */
  readonly listeningSince?: number
  readonly waitingUsers: number
  /** None unless told. */
  readonly waitingUsersOf?: Readonly<Record<string, number>>
  /** Milliseconds since the epoch; the later of last heartbeat, daemon start and database return. */
  readonly heardAt: (host: Host) => number
}

/** How old a view's `heardAt` may be before it is looked up again; well under any heartbeat deadline. */
const heardAtStaysFreshMs = 500

export class RegionMirror {
  #region: Region
  readonly #images = new HeldRows<Image>()
  readonly #hosts = new HeldRows<Host>()
  readonly #agents = new HeldRows<Agent>()
  readonly #blocks = new HeldRows<BlockedOffering>()
  readonly #rollouts = new HeldRows<Rollout>()
  readonly #versions = new HeldRows<ChannelVersion>()
  readonly #agentIdsByHost = new Map<string, Set<string>>()
  readonly #views = new Map<string, HostView>()
  #ordered: readonly HostView[] = []
  /** Hosts that the ordered list does not show as they are. */
  readonly #outdated = new Set<string>()

  constructor(region: Region) {
    this.#region = region
  }

  get region(): Region {
    return this.#region
  }

  applyRegion(region: Region): boolean {
    if (region.revision <= this.#region.revision) return false
    this.#region = region
    return true
  }

  applyImage(image: Image): boolean {
    return this.#images.apply(image, false)
  }

  applyHost(host: Host): boolean {
    const changed = this.#hosts.apply(host, host.status === 'TERMINATED')
    if (changed) this.#forgetView(host.id)
    return changed
  }

  applyAgent(agent: Agent): boolean {
    if (!this.#agents.apply(agent, false)) return false
    let ids = this.#agentIdsByHost.get(agent.hostId)
    if (ids === undefined) this.#agentIdsByHost.set(agent.hostId, (ids = new Set()))
    ids.add(agent.id)
    this.#forgetView(agent.hostId)
    return true
  }

  applyBlock(block: BlockedOffering): boolean {
    return this.#blocks.apply(block, false)
  }

  applyRollout(rollout: Rollout): boolean {
    return this.#rollouts.apply(rollout, isOver(rollout))
  }

  removeRollout(id: string): boolean {
    return this.#rollouts.remove(id) !== undefined
  }

  /** Gives whether it is news to this region: another channel's is none. */
  applyVersion(version: ChannelVersion): boolean {
    return this.#versions.apply(version, false) && version.id === this.#region.channel
  }

  removeVersion(id: string): boolean {
    return this.#versions.remove(id, true) !== undefined && id === this.#region.channel
  }

  removeBlock(id: string): boolean {
    return this.#blocks.remove(id) !== undefined
  }

  removeImage(id: string): boolean {
    return this.#images.remove(id) !== undefined
  }

  removeHost(id: string): boolean {
    const removed = this.#hosts.remove(id) !== undefined
    if (removed) this.#forgetView(id)
    return removed
  }

  removeAgent(id: string): boolean {
    const agent = this.#agents.remove(id)
    if (agent === undefined) return false
    const ids = this.#agentIdsByHost.get(agent.hostId)
    ids?.delete(id)
    if (ids?.size === 0) this.#agentIdsByHost.delete(agent.hostId)
    this.#forgetView(agent.hostId)
    return true
  }

  get #tables() {
    return [this.#images, this.#hosts, this.#agents, this.#blocks, this.#rollouts, this.#versions]
  }

  /** Call before reading the rows that `endRebuild` will be given. */
  beginRebuild(): void {
    for (const held of this.#tables) held.beginRebuild()
  }

  endRebuild(rows: RegionRows): void {
    this.applyRegion(rows.region)
    for (const image of rows.images) this.applyImage(image)
    for (const host of rows.hosts) this.applyHost(host)
    for (const agent of rows.agents) this.applyAgent(agent)
    for (const id of this.#images.endRebuild(new Set(rows.images.map((row) => row.id)))) this.removeImage(id)
    for (const id of this.#hosts.endRebuild(new Set(rows.hosts.map((row) => row.id)))) this.removeHost(id)
    for (const id of this.#agents.endRebuild(new Set(rows.agents.map((row) => row.id)))) this.removeAgent(id)
    for (const block of rows.blocked_offerings) this.applyBlock(block)
    for (const id of this.#blocks.endRebuild(new Set(rows.blocked_offerings.map((row) => row.id)))) {
      this.removeBlock(id)
    }
    for (const rollout of rows.rollouts) this.applyRollout(rollout)
    for (const id of this.#rollouts.endRebuild(new Set(rows.rollouts.map((row) => row.id))))
      this.removeRollout(id)
    for (const version of rows.versions) this.applyVersion(version)
    for (const id of this.#versions.endRebuild(new Set(rows.versions.map((row) => row.id))))
      this.removeVersion(id)
    for (const held of this.#tables) held.forgetTombstones()
  }

  snapshot(inputs: SnapshotInputs): RegionSnapshot {
    const region = this.#region
    const images = inOrder(this.#images)
    return {
      now: inputs.now,
      listeningSince: inputs.listeningSince ?? 0,
      region,
      images,
      activeImage: images.find((image) => image.status === 'ACTIVE'),
      hosts: this.#orderedViews(inputs),
      blockedOfferings: inOrder(this.#blocks),
      waitingUsers: inputs.waitingUsers,
      waitingUsersOf: inputs.waitingUsersOf ?? {},
      rollouts: inOrder(this.#rollouts),
      rolloutHealth: undefined,
      channelVersion: this.#versions.get(region.channel)?.version,
      launchBlockedUntil:
        region.launchBlockedUntil !== null && region.launchBlockedUntil > inputs.now
          ? region.launchBlockedUntil
          : undefined,
    }
  }

  /** One host with its agents, for who needs no whole snapshot. */
  hostView(id: string, heardAt: (host: Host) => number): HostView | undefined {
    return this.#view(id, heardAt)
  }

  /** What an earlier snapshot was given stays as it was: a list that changes is another list. */
  #orderedViews({ now, heardAt }: SnapshotInputs): readonly HostView[] {
    if (this.#outdated.size > 0) {
      const isMuch = this.#outdated.size > this.#ordered.length / 8
      this.#ordered = isMuch ? this.#allInOrder(heardAt) : this.#withNews(heardAt)
      this.#outdated.clear()
    }
    let copy: HostView[] | undefined
    for (let index = 0; index < this.#ordered.length; index += 1) {
      const held = this.#ordered[index]
      if (held === undefined || now - held.heardAt <= heardAtStaysFreshMs) continue
      const heard = heardAt(held)
      if (heard === held.heardAt) continue
      const refreshed = { ...held, heardAt: heard }
      this.#views.set(held.id, refreshed)
      copy ??= [...this.#ordered]
      copy[index] = refreshed
    }
    if (copy !== undefined) this.#ordered = copy
    return this.#ordered
  }

  #allInOrder(heardAt: (host: Host) => number): readonly HostView[] {
    const ids = [...this.#hosts.keys()].sort()
    return ids.map((id) => this.#view(id, heardAt)).filter((view) => view !== undefined)
  }

  /** One host that came, went or changed must not cost a sort of them all. */
  #withNews(heardAt: (host: Host) => number): readonly HostView[] {
    const views = [...this.#ordered]
    for (const id of this.#outdated) {
      const place = placeOf(id, views)
      const held = views[place]?.id === id ? 1 : 0
      const view = this.#view(id, heardAt)
      if (view === undefined) views.splice(place, held)
      else views.splice(place, held, view)
    }
    return views
  }

  #view(id: string, heardAt: (host: Host) => number): HostView | undefined {
    const held = this.#views.get(id)
    if (held !== undefined) return held
    const host = this.#hosts.get(id)
    if (host === undefined) return undefined
    const ids = [...(this.#agentIdsByHost.get(id) ?? [])].sort()
    const agents = ids.map((agentId) => this.#agents.get(agentId)).filter((agent) => agent !== undefined)
    const view: HostView = {
      ...host,
      agents,
      waitingAgents: agents.filter((agent) => agent.status === 'WAITING').length,
      liveAgents: agents.filter(isLive).length,
      heardAt: heardAt(host),
    }
    this.#views.set(id, view)
    return view
  }

  #forgetView(id: string): void {
    this.#views.delete(id)
    this.#outdated.add(id)
  }
}

function inOrder<T extends { readonly id: string; readonly revision: number }>(
  held: HeldRows<T>,
): readonly T[] {
  return [...held.values()].sort((one, other) => (one.id < other.id ? -1 : 1))
}

/** Where the id is in the list, or belongs. */
function placeOf(id: string, views: readonly HostView[]): number {
  let [from, to] = [0, views.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((views[middle]?.id ?? '') < id) from = middle + 1
    else to = middle
  }
  return from
}
