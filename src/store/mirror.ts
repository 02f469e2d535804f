/** All regions in memory: patched by hints and by the daemon's own writes, rebuilt whenever something may be missing. */
import { EventEmitter } from 'eventemitter3'

import type { Clock } from '../lib/clock.ts'
import type { Host } from '../model/host.ts'
import type { Region } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import type { RegionRows, RowIds, Rows } from './fleet-store.ts'
import type { FleetView } from './fleet-view.ts'
import { RegionMirror } from './region-mirror.ts'

export interface MirrorInputs {
  readonly clock: Clock
  /** Milliseconds since the epoch, of the host's last heartbeat as its stream's end knows it. */
  readonly lastHeard: (hostId: string) => number | undefined
  readonly waitingUsers: (regionId: string) => number
  /** Of these, who wait for another image than the ACTIVE one, by `images.id`. */
  readonly waitingUsersOf?: (regionId: string) => Readonly<Record<string, number>>
}

export class Mirror implements FleetView {
  readonly #inputs: MirrorInputs
  readonly #regions = new Map<string, RegionMirror>()
  readonly #regionOfHost = new Map<string, string>()
  readonly #rebuilding = new Map<string, Promise<void>>()
  readonly #changes = new EventEmitter<{ change: [regionId: string] }>()
  #silenceCountsFrom: number

  constructor(inputs: MirrorInputs) {
    this.#inputs = inputs
    this.#silenceCountsFrom = inputs.clock.now()
  }

  get regionIds(): readonly string[] {
    return [...this.#regions.keys()]
  }

  /** The daemon was deaf until now (start, take-over, database return): silence counts from here. */
  listenFromNow(): void {
    this.#silenceCountsFrom = this.#inputs.clock.now()
  }

  onChange(listener: (regionId: string) => void): () => void {
    this.#changes.on('change', listener)
    return () => this.#changes.off('change', listener)
  }

  /** The region's row, for who needs nothing of its hosts. */
  region(regionId: string): Region | undefined {
    return this.#regions.get(regionId)?.region
  }

  snapshot(regionId: string): RegionSnapshot | undefined {
    return this.#regions.get(regionId)?.snapshot({
      now: this.#inputs.clock.now(),
      listeningSince: this.#silenceCountsFrom,
      waitingUsers: this.#inputs.waitingUsers(regionId),
      waitingUsersOf: this.#inputs.waitingUsersOf?.(regionId) ?? {},
      heardAt: this.#heardAt,
    })
  }

  host(hostId: string): HostView | undefined {
    const regionId = this.#regionOfHost.get(hostId)
    if (regionId === undefined) return undefined
    return this.#regions.get(regionId)?.hostView(hostId, this.#heardAt)
  }

  /**
   * Apply rows that were read; of `asked`, ids without a row are deletions. Gives the regions that changed.
   */
  apply(rows: Partial<Rows>, asked: RowIds = {}): ReadonlySet<string> {
    const changed = new Set<string>()
    const note = (regionId: string, isNews: boolean | undefined) => {
      if (isNews === true) changed.add(regionId)
    }
    for (const region of rows.regions ?? []) {
      const held = this.#regions.get(region.id)
      if (held === undefined) this.#regions.set(region.id, new RegionMirror(region))
      note(region.id, held === undefined || held.applyRegion(region))
    }
    for (const image of rows.images ?? []) {
      note(image.regionId, this.#regions.get(image.regionId)?.applyImage(image))
    }
    for (const host of rows.hosts ?? []) {
      this.#place(host)
      note(host.regionId, this.#regions.get(host.regionId)?.applyHost(host))
    }
    for (const agent of rows.agents ?? []) {
      note(agent.regionId, this.#regions.get(agent.regionId)?.applyAgent(agent))
    }
    for (const block of rows.blocked_offerings ?? []) {
      note(block.regionId, this.#regions.get(block.regionId)?.applyBlock(block))
    }
    for (const rollout of rows.rollouts ?? []) {
      note(rollout.regionId, this.#regions.get(rollout.regionId)?.applyRollout(rollout))
    }
    for (const [regionId, mirror] of this.#regions) {
      for (const version of rows.versions ?? []) note(regionId, mirror.applyVersion(version))
      for (const id of missing(asked.versions, rows.versions)) note(regionId, mirror.removeVersion(id))
      for (const id of missing(asked.rollouts, rows.rollouts)) note(regionId, mirror.removeRollout(id))
      for (const id of missing(asked.images, rows.images)) note(regionId, mirror.removeImage(id))
      for (const id of missing(asked.blocked_offerings, rows.blocked_offerings)) {
        note(regionId, mirror.removeBlock(id))
      }
      for (const id of missing(asked.hosts, rows.hosts)) note(regionId, mirror.removeHost(id))
      for (const id of missing(asked.agents, rows.agents)) note(regionId, mirror.removeAgent(id))
    }
    for (const id of missing(asked.regions, rows.regions)) {
      if (this.#regions.delete(id)) changed.add(id)
    }
    for (const regionId of changed) this.#changes.emit('change', regionId)
    return changed
  }

  /**
   * Read a region anew: `read` is called after the mirror has marked what it held before. One at a time in each region:
   * two would take each other's marks for their own, and lose a row that the first read was too early for.
   */
  async rebuild(regionId: string, read: () => Promise<RegionRows | undefined>): Promise<void> {
    const earlier = this.#rebuilding.get(regionId)
    const mine = (async () => {
      await earlier?.catch(() => undefined)
      await this.#rebuildNow(regionId, read)
    })()
    this.#rebuilding.set(regionId, mine)
    try {
      await mine
    } finally {
      if (this.#rebuilding.get(regionId) === mine) this.#rebuilding.delete(regionId)
    }
  }

  async #rebuildNow(regionId: string, read: () => Promise<RegionRows | undefined>): Promise<void> {
    this.#regions.get(regionId)?.beginRebuild()
    const rows = await read()
    if (rows === undefined) {
      this.#regions.delete(regionId)
    } else {
      let mirror = this.#regions.get(regionId)
      if (mirror === undefined) this.#regions.set(regionId, (mirror = new RegionMirror(rows.region)))
      for (const host of rows.hosts) this.#place(host)
      mirror.endRebuild(rows)
    }
    this.#changes.emit('change', regionId)
  }

  /** Regions that are no longer among `regionIds` have been deleted. */
  retainRegions(regionIds: readonly string[]): void {
    const present = new Set(regionIds)
    for (const id of this.#regions.keys()) {
      if (present.has(id)) continue
      this.#regions.delete(id)
      this.#changes.emit('change', id)
    }
  }

  #place(host: Host): void {
    if (host.status === 'TERMINATED') this.#regionOfHost.delete(host.id)
    else this.#regionOfHost.set(host.id, host.regionId)
  }

  readonly #heardAt = (host: Host): number =>
    Math.max(host.heartbeatAt ?? 0, this.#inputs.lastHeard(host.id) ?? 0, this.#silenceCountsFrom)
}

function missing(
  asked: readonly string[] | undefined,
  found: readonly { readonly id: string }[] = [],
): readonly string[] {
  if (asked === undefined || asked.length === 0) return []
  const present = new Set(found.map((row) => row.id))
  return asked.filter((id) => !present.has(id))
}
