/**
 * A region in memory, step by step: users who come, stay and leave, hosts that boot or fail to, and turns as the daemon
 * takes them (planTurn, commit_turn, switch_rollouts). One step is a second. The same load can be run with and without a roll-out.
 */
import { fullestHostFirst } from '../../src/model/ranking.ts'
import type { Region } from '../../src/model/region.ts'
import type { Rollout } from '../../src/model/rollout.ts'
import { isLeading, isOver } from '../../src/model/rollout.ts'
import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'
import type { RegionSnapshot } from '../../src/model/snapshot.ts'
import { servingImages } from '../../src/model/serving-images.ts'
import { isSameVersion } from '../../src/model/version.ts'
import type { PlannedTurn } from '../../src/reconcile/plan-turn.ts'
import { planTurn } from '../../src/reconcile/plan-turn.ts'
import { unendedHosts } from '../../src/reconcile/unended-hosts.ts'
import { keptImages } from '../../src/rollout/kept-images.ts'
import type { FleetStore } from '../../src/store/fleet-store.ts'
import { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import { createMemoryStore } from '../../src/store/memory/memory-store.ts'
import { insertImage, insertRegion } from '../../src/store/memory/region-rows.ts'
import { RegionMirror } from '../../src/store/region-mirror.ts'
import { anImage, aRegion, aTick, anEvent } from './factories.ts'

export interface Arrival {
  readonly userId: string
  /** What the client asks for; undefined: whatever is served. */
  readonly version: string | undefined
  /** Steps that its session lasts. */
  readonly lasts: number
  /** 0 to 1: under the canary's share it is chosen. */
  readonly place: number
  /** 0 to 1: under its image's share of failures its session fails. */
  readonly luck: number
}

export interface WorldOptions {
  readonly region: Partial<Region>
  readonly algorithm: ScalingAlgorithm
  readonly options: unknown
  /** Steps from the launch to the host's first connection; 0: before the step is over. */
  readonly boot: number
  /** What becomes of the nth host that is launched, by its image's version. */
  readonly fate?: (version: string, index: number) => 'boots' | 'refused' | 'never-connects'
  /** Share of the version's sessions that fail. */
  readonly failing?: (version: string) => number
  readonly tickEvery?: number
}

export interface Refused {
  readonly step: number
  readonly userId: string
  readonly version: string | undefined
}

interface Session {
  readonly agentId: string
  readonly endsAt: number
  readonly fails: boolean
}

export const regionId = 'test/one'
const fence = 1

export class RolloutWorld {
  readonly db: MemoryDatabase
  readonly store: FleetStore
  readonly refused: Refused[] = []
  /** Every change of state, in order. */
  readonly story: string[] = []
  readonly turns: { readonly snapshot: RegionSnapshot; readonly planned: PlannedTurn }[] = []
  readonly #options: WorldOptions
  readonly #sessions: Session[] = []
  readonly #boots = new Map<string, number>()
  readonly #doomed = new Set<string>()
  #seen: { readonly at: string; readonly snapshot?: RegionSnapshot } = { at: '' }
  #launched = 0
  #machines = 0
  #agents = 0
  #now: number
  #step = 0

  private constructor(options: WorldOptions) {
    this.#options = options
    this.#now = Date.UTC(2026, 10, 20, 12)
    this.db = new MemoryDatabase({ now: () => this.#now }, 'fleet')
    this.store = createMemoryStore(this.db)
  }

  static async create(options: WorldOptions): Promise<RolloutWorld> {
    const world = new RolloutWorld(options)
    await world.db.transact(() => {
      insertRegion(world.db, aRegion({ id: regionId, turn: 0, maxAgentsPerUser: 1, ...options.region }))
      insertImage(world.db, anImage({ id: 'v1', imageId: 'v1', version: '1.0.0', createdAt: world.#now }))
    })
    await world.store.takeLease('test', 1_000_000_000)
    return world
  }

  get now(): number {
    return this.#now
  }

  get step(): number {
    return this.#step
  }

  async addCandidate(id: string, version: string): Promise<void> {
    await this.db.transact(() =>
      insertImage(this.db, anImage({ id, imageId: id, version, status: 'CANDIDATE', createdAt: this.#now })),
    )
  }

  async setVersion(version: string): Promise<void> {
    await this.db.transact(() => {
      const revision = (this.db.versions.get('default')?.revision ?? 0) + 1
      this.db.versions.put({ id: 'default', version, revision })
    })
  }

  rollouts(): readonly Rollout[] {
    return this.db.rollouts.where(() => true)
  }

  leading(): Rollout | undefined {
    return this.rollouts().find(isLeading)
  }

  isSettled(): boolean {
    return this.rollouts().every(isOver)
  }

  /** WAITING agents on ACTIVE hosts, by what a client asks for; undefined: that version is not served. */
  free(version?: string): number | undefined {
    const snapshot = this.snapshot()
    const images = servingImages(snapshot).filter((image, at) =>
      version === undefined ? at === 0 : isSameVersion(image.version, version),
    )
    if (images.length === 0) return undefined
    const ids = new Set(images.map(({ id }) => id))
    return snapshot.hosts.reduce(
      (sum, host) => sum + (host.status === 'ACTIVE' && ids.has(host.imageId ?? '') ? host.waitingAgents : 0),
      0,
    )
  }

  snapshot(): RegionSnapshot {
    const region = this.db.regions.get(regionId)!
    const seen = `${this.db.latestChange} ${region.revision} ${this.#now}`
    if (this.#seen.at !== seen) this.#seen = { at: seen, snapshot: this.#look(region) }
    return this.#seen.snapshot!
  }

  #look(region: Region): RegionSnapshot {
    const isHere = (row: { readonly regionId: string }): boolean => row.regionId === regionId
    const mirror = new RegionMirror(region)
    mirror.beginRebuild()
    mirror.endRebuild({
      region,
      images: this.db.images.where(isHere),
      hosts: this.db.hosts.where((host) => host.status !== 'TERMINATED'),
      agents: this.db.agents.where(() => true),
      blocked_offerings: [],
      rollouts: this.db.rollouts.where((rollout) => !isOver(rollout)),
      versions: this.db.versions.where(() => true),
    })
    return mirror.snapshot({ now: this.#now, waitingUsers: 0, heardAt: () => this.#now })
  }

  /** Users come, sessions end, turns are taken until nothing more follows, hosts boot. */
  async run(arrivals: readonly Arrival[], turns = true): Promise<void> {
    this.#step += 1
    this.#now += 1000
    await this.#endSessions()
    for (const arrival of arrivals) await this.#assign(arrival)
    if (!turns) return
    const isTick = this.#step % (this.#options.tickEvery ?? 5) === 0
    for (let round = 0; round < 30; round += 1) {
      const isMoved = await this.#turn(isTick && round === 0)
      const isBooted = await this.#bootHosts()
      await this.#endHosts()
      if (!isMoved && !isBooted) return
    }
    throw new Error(`step ${this.#step} does not settle:\n${this.story.slice(-30).join('\n')}`)
  }

  async #turn(isTick: boolean): Promise<boolean> {
    const seen = this.snapshot()
    const leading = seen.rollouts.find(isLeading)
    const rolloutHealth = leading === undefined ? undefined : await this.store.readRolloutHealth(leading)
    const snapshot = { ...seen, rolloutHealth }
    const { algorithm, options } = this.#options
    const planned = planTurn({
      snapshot,
      event: isTick ? aTick : anEvent(),
      algorithm,
      options,
      sweep: unendedHosts(snapshot, (id) => this.#isEnding(id)),
    })
    this.turns.push({ snapshot, planned })
    const before = this.#states()
    const { plan } = planned
    if (plan !== undefined) await this.store.commitTurn(regionId, snapshot.region.turn, fence, plan)
    for (const groupId of planned.switches) await this.store.switchRollouts(groupId, fence)
    for (const { kind, target, reason } of plan?.decisions ?? []) {
      this.story.push(`${this.#step}: ${kind} ${target ?? ''}: ${reason}`)
    }
    const isRepeat = plan?.decisions.every(({ kind }) => kind === 'refuse' || kind === 'report') ?? true
    return !isRepeat || before !== this.#states()
  }

  #states(): string {
    return this.rollouts()
      .map(({ id, state }) => `${id} ${state}`)
      .join()
  }

  #isEnding(hostId: string): boolean {
    return this.db.actions.values().some((action) => action.kind === 'terminate' && action.target === hostId)
  }

  /** Gives whether a host became ACTIVE. */
  async #bootHosts(): Promise<boolean> {
    let isBooted = false
    for (const action of this.db.actions.where(
      ({ kind, status }) => kind === 'launch' && status === 'RUNNING',
    )) {
      const hosts = this.db.hosts.where((host) => host.launchId === action.id && host.status !== 'TERMINATED')
      const machines: string[] = []
      let isRefused = false
      for (const host of hosts) {
        const fate = this.#options.fate?.(host.version, (this.#launched += 1)) ?? 'boots'
        if (fate === 'refused') {
          isRefused = true
          continue
        }
        const machine = `m${String((this.#machines += 1)).padStart(6, '0')}`
        machines.push(machine)
        if (fate === 'never-connects') this.#doomed.add(machine)
      }
      const refusal = isRefused ? { code: 'insufficient-capacity', message: 'no machine is left' } : {}
      await this.store.finishLaunch(action.id, fence, { cloudIds: machines, ...refusal })
      isBooted = true
    }
    for (const host of this.db.hosts.where(({ status }) => status === 'PRE_CONNECTION')) {
      const since = this.#boots.get(host.id) ?? this.#step
      this.#boots.set(host.id, since)
      if (this.#doomed.has(host.cloudId ?? '') || this.#step < since + this.#options.boot) continue
      await this.store.registerHost(host.id, 'address', host.capacity, fence)
      for (let seat = 0; seat < host.capacity; seat += 1) await this.#addAgent(host.id)
      isBooted = true
    }
    return isBooted
  }

  async #addAgent(hostId: string): Promise<void> {
    const id = `a${String((this.#agents += 1)).padStart(6, '0')}`
    await this.store.reportAgents(hostId, [{ id, status: 'WAITING' }], false, fence)
  }

  async #endHosts(): Promise<void> {
    for (const host of this.db.hosts.where(({ status }) => status === 'DRAINING')) {
      const dying = this.db.agents.where((agent) => agent.hostId === host.id && agent.status === 'DYING')
      const gone = dying.map(({ id }) => ({ id, status: 'DYING' as const, gone: true }))
      if (gone.length > 0) await this.store.reportAgents(host.id, gone, false, fence)
    }
    for (const host of this.db.hosts.where(({ status }) => status === 'TERMINATING')) {
      await this.store.endHost(host.id, fence, null)
    }
  }

  async #endSessions(): Promise<void> {
    for (const session of [...this.#sessions]) {
      const agent = this.db.agents.get(session.agentId)
      if (agent === undefined || agent.status === 'DYING') this.#forget(session)
      else if (session.fails) await this.#end(session, agent.hostId, 'it crashed')
      else if (session.endsAt <= this.#step) await this.#end(session, agent.hostId)
      else if (agent.status === 'ALLOCATED') {
        await this.store.reportAgents(agent.hostId, [{ id: agent.id, status: 'RUNNING' }], false, fence)
      }
    }
  }

  /** Its manager starts another agent in the seat, unless the host drains. */
  async #end(session: Session, hostId: string, failure?: string): Promise<void> {
    this.#forget(session)
    const last = { id: session.agentId, status: 'DYING' as const, gone: true }
    await this.store.reportAgents(hostId, [failure === undefined ? last : { ...last, failure }], false, fence)
    if (this.db.hosts.get(hostId)?.status === 'ACTIVE') await this.#addAgent(hostId)
  }

  #forget(session: Session): void {
    this.#sessions.splice(this.#sessions.indexOf(session), 1)
  }

  async #assign(arrival: Arrival): Promise<void> {
    const snapshot = this.snapshot()
    for (const { id: imageId, arm, rolloutId } of wantedImages(snapshot, arrival)) {
      const { userId } = arrival
      const answer = await this.store.claimAgent(regionId, fence, {
        userId,
        sessionId: userId,
        idempotencyKey: userId,
        imageId,
        version: arrival.version ?? null,
        requestedAt: this.#now,
        demandRegionId: regionId,
        candidates: fullestHostFirst({ ...snapshot, activeImage: anImage({ id: imageId }) }),
        excludedHosts: [],
        rolloutId,
        arm,
      })
      if (answer.outcome !== 'assigned' || answer.agentId === null) continue
      const version = this.db.images.get(imageId)?.version ?? ''
      const fails = arrival.luck < (this.#options.failing?.(version) ?? 0)
      this.#sessions.push({ agentId: answer.agentId, endsAt: this.#step + arrival.lasts, fails })
      return
    }
    this.refused.push({ step: this.#step, userId: arrival.userId, version: arrival.version })
  }

  get sessions(): number {
    return this.#sessions.length
  }

  /** What a session runs on must stay until it ends. */
  cutSessions(): readonly string[] {
    return this.#sessions.flatMap(({ agentId }) => {
      const agent = this.db.agents.get(agentId)
      return agent === undefined ? [agentId] : []
    })
  }

  keptVersions(): readonly string[] {
    return keptImages(this.snapshot()).map(({ image }) => image.version)
  }
}

interface Wanted {
  readonly id: string
  readonly rolloutId: string | null
  readonly arm: 'candidate' | 'control' | 'fallback' | null
}

/** As placement chooses. */
function wantedImages(snapshot: RegionSnapshot, { version, place }: Arrival): readonly Wanted[] {
  const serving = servingImages(snapshot)
  if (version !== undefined) {
    return serving
      .filter((image) => isSameVersion(image.version, version))
      .map(({ id }) => ({ id, rolloutId: null, arm: null }))
  }
  const { activeImage } = snapshot
  if (activeImage === undefined) return []
  const canary = snapshot.rollouts.find(({ state }) => state === 'CANARY')
  if (canary === undefined) return [{ id: activeImage.id, rolloutId: null, arm: null }]
  const control = { id: activeImage.id, rolloutId: canary.id }
  if (place >= canary.canaryShare) return [{ ...control, arm: 'control' }]
  return [
    { id: canary.toImage, rolloutId: canary.id, arm: 'candidate' },
    { ...control, arm: 'fallback' },
  ]
}
