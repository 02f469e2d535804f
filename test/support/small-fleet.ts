/** A fleet in memory with just what placement touches: claims decide as the database's `claim_agent` does. */
import { silentLogger } from '../../src/lib/logger.ts'
import type { Agent } from '../../src/model/agent.ts'
import { isLive } from '../../src/model/agent.ts'
import type { AssignRequest, Assignment } from '../../src/model/assignment.ts'
import { MusterError } from '../../src/model/errors.ts'
import type { HostStatus } from '../../src/model/host.ts'
import type { BlockedOffering } from '../../src/model/offering.ts'
import type { Image, Region } from '../../src/model/region.ts'
import type { Rollout } from '../../src/model/rollout.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'
import { Assigner } from '../../src/assign/assigner.ts'
import type { AssignerOptions, Sessions } from '../../src/assign/seams.ts'
import type { ClaimRequest, Miss } from '../../src/store/fleet-store.ts'
import type { FleetView } from '../../src/store/fleet-view.ts'
import { aHost, anAgent, anImage, aRegion, aRollout, aSnapshot } from './factories.ts'
import { TestClock } from './test-clock.ts'

interface RegionOptions {
  enabled?: boolean
  version?: string | undefined
  maxAgentsPerUser?: number
}

interface HostRow {
  id: string
  regionId: string
  status: HostStatus
  imageId: string
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

export class SmallFleet {
  readonly clock = new TestClock()
  /** `version`: of the ACTIVE image. */
  readonly regions = new Map<string, { region: Writable<Region>; version: string | undefined }>()
  /** Beside each region's ACTIVE image; their ids are `imageIdOf(regionId, version)`. */
  readonly images = new Map<string, Image[]>()
  readonly rollouts = new Map<string, Rollout[]>()
  readonly hosts = new Map<string, HostRow>()
  readonly agents = new Map<string, Writable<Agent>>()
  readonly assignments: Writable<Assignment>[] = []
  readonly misses: Miss[] = []
  readonly claims: { regionId: string; request: ClaimRequest }[] = []
  readonly wakes: string[] = []
  readonly disconnected = new Set<string>()
  /** Hosts whose manager refuses every session. */
  readonly refusing = new Set<string>()
  /** Hosts whose manager never answers. */
  readonly silent = new Set<string>()
  readonly givenUp: { agentId: string; failure: string | null }[] = []
  readonly started: { agentId: string; sessionId: string }[] = []
  fence: number | undefined = 1
  databaseIsAway = false
  /** What each region's provider has said no to. */
  readonly blocks = new Map<string, readonly BlockedOffering[]>()
  /** Calls to the store so far. */
  calls = 0
  /** What every call to the store waits for, before its work and before its answer. */
  latency: () => Promise<void> = () => Promise.resolve()
  /** When the mirror hears of what the database did. */
  hint: (deliver: () => void) => void = (deliver) => deliver()
  #ids = 0
  readonly #regionIds: string[] = []
  readonly #listeners = new Set<(regionId: string) => void>()

  region(id: string, options: RegionOptions = {}): void {
    const { enabled = true, maxAgentsPerUser = 1 } = options
    const version = 'version' in options ? options.version : 'v1'
    const region = aRegion({ id, provider: 'fake', enabled, maxAgentsPerUser })
    if (!this.regions.has(id)) this.#regionIds.push(id)
    this.regions.set(id, { region, version })
    this.changed(id)
  }

  /** Of the region's ACTIVE image unless told. */
  host(id: string, regionId: string, status: HostStatus = 'ACTIVE', version?: string): void {
    const ofImage = version ?? this.regions.get(regionId)?.version ?? 'v1'
    this.hosts.set(id, { id, regionId, status, imageId: imageIdOf(regionId, ofImage) })
  }

  /** A roll-out from the region's ACTIVE image to a CANDIDATE of the version is in this state. */
  tries(version: string, changes: Partial<Rollout> = {}, regionId = 'fake/a'): Rollout {
    const id = imageIdOf(regionId, version)
    const fromImage = imageIdOf(regionId, this.regions.get(regionId)?.version ?? 'v1')
    const rollout = aRollout({ id, regionId, fromImage, version, state: 'READY', ...changes })
    this.images.set(regionId, [anImage({ id, regionId, version, status: 'CANDIDATE' })])
    this.rollouts.set(regionId, [rollout])
    this.changed(regionId)
    return rollout
  }

  /** As a switch does: the candidate is ACTIVE, the other RETIRED. */
  switches(regionId = 'fake/a'): void {
    const held = this.regions.get(regionId)!
    const [rollout] = this.rollouts.get(regionId)!
    const version = held.version!
    const old = anImage({ id: rollout!.fromImage, regionId, version, status: 'RETIRED' })
    this.images.set(regionId, [old])
    held.version = rollout!.version
    this.rollouts.set(regionId, [{ ...rollout!, state: 'SWITCHED' }])
    this.changed(regionId)
  }

  /** A WAITING agent appears on the host (made when it is new, of this version). */
  free(id: string, hostId = 'h1', regionId = 'fake/a', version?: string): void {
    if (!this.hosts.has(hostId)) this.host(hostId, regionId, 'ACTIVE', version)
    this.agents.set(id, anAgent({ id, hostId, regionId }))
    this.changed(regionId)
  }

  changed(regionId: string): void {
    this.hint(() => {
      for (const listener of this.#listeners) listener(regionId)
    })
  }

  assigner(overrides: Partial<AssignerOptions> = {}): Assigner {
    const assigner = new Assigner({
      store: this.store,
      view: this.view,
      sessions: this.sessions,
      leadership: { fence: () => this.fence },
      rank: () => undefined,
      wake: (regionId, cause) => {
        this.wakes.push(`${regionId} ${cause.kind === 'assign' ? cause.outcome : cause.kind}`)
      },
      clock: this.clock,
      logger: silentLogger,
      newId: () => `id-${(this.#ids += 1)}`,
      ...overrides,
    })
    assigner.start()
    return assigner
  }

  readonly view: FleetView = {
    regionIds: this.#regionIds,
    snapshot: (regionId) => this.#snapshot(regionId),
    onChange: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
  }

  readonly sessions: Sessions = {
    isConnected: (hostId) => !this.disconnected.has(hostId),
    startSession: async (hostId, session) => {
      if (this.silent.has(hostId)) await new Promise(() => undefined)
      if (this.refusing.has(hostId)) return { taken: false, error: 'refused' }
      this.started.push(session)
      return { taken: true }
    },
  }

  readonly store: AssignerOptions['store'] = {
    claimAgent: async (regionId, fence, request) => {
      await this.reach()
      this.claims.push({ regionId, request })
      const answer = this.#claim(regionId, fence, request)
      await this.latency()
      return answer
    },
    giveUpAgent: async (assignmentId, agentId, _, failure) => {
      await this.reach()
      this.givenUp.push({ agentId, failure })
      const agent = this.agents.get(agentId)
      if (agent?.status === 'ALLOCATED' || agent?.status === 'CONNECTING') agent.status = 'DYING'
      const row = this.assignments.find((held) => held.id === assignmentId && held.agentId === agentId)
      if (row?.outcome === 'assigned') {
        row.failure ??= failure
        row.outcome = 'given-up'
        row.endedAt ??= this.clock.now()
      }
    },
    recordMiss: async (miss) => {
      await this.reach()
      this.misses.push(miss)
    },
    readSessions: async (userId) => {
      await this.reach()
      return [...this.agents.values()]
        .filter((agent) => agent.userId === userId && isLive(agent))
        .map((agent) => ({
          sessionId: agent.sessionId!,
          agentId: agent.id,
          hostId: agent.hostId,
          regionId: agent.regionId,
          address: '127.0.0.1',
          port: agent.port,
          status: agent.status,
          endsAt: null,
        }))
    },
    releaseSession: async (userId, sessionId) => {
      await this.reach()
      const released = [...this.agents.values()].filter(
        (agent) => agent.userId === userId && agent.sessionId === sessionId && isLive(agent),
      )
      for (const agent of released) agent.status = 'DYING'
      return released
    },
  }

  /** Every call to the store begins so: it waits, and throws while the database is away. */
  async reach(): Promise<void> {
    this.calls += 1
    await this.latency()
    if (this.databaseIsAway) throw new MusterError('database-unavailable', 'away', { retryable: true })
  }

  hostViews(): readonly HostView[] {
    const agents = [...this.agents.values()]
    return [...this.hosts.values()].map((host) =>
      aHost({ ...host, agents: agents.filter((agent) => agent.hostId === host.id) }),
    )
  }

  #claim(regionId: string, fence: number, request: ClaimRequest): Assignment {
    const known = this.assignments.find(
      (row) => row.userId === request.userId && row.idempotencyKey === request.idempotencyKey,
    )
    if (known?.outcome === 'assigned') return { ...known }
    const answer: Writable<Assignment> = {
      id: known?.id ?? `assignment-${(this.#ids += 1)}`,
      userId: request.userId,
      idempotencyKey: request.idempotencyKey,
      regionId,
      imageId: request.imageId,
      hostId: null,
      agentId: null,
      address: null,
      port: null,
      sessionId: null,
      outcome: 'no-capacity',
      requestedAt: request.requestedAt,
      assignedAt: null,
      endedAt: null,
      ...(known?.arm === 'candidate' && known.failure !== null
        ? { rolloutId: known.rolloutId, arm: known.arm, failure: known.failure }
        : { rolloutId: request.rolloutId, arm: request.arm, failure: null }),
    }
    if (fence !== this.fence) return { ...answer, outcome: 'not-active' }
    const region = this.regions.get(regionId)?.region
    if (region?.enabled !== true) return { ...answer, outcome: 'region-not-enabled' }
    const mine = [...this.agents.values()].filter((agent) => agent.userId === request.userId && isLive(agent))
    if (mine.filter((agent) => agent.regionId === regionId).length >= region.maxAgentsPerUser) {
      return { ...answer, outcome: 'user-already-active' }
    }
    const takeable = [...this.agents.values()].filter((agent) => {
      const host = this.hosts.get(agent.hostId)
      return (
        agent.status === 'WAITING' && agent.regionId === regionId && host?.status === 'ACTIVE' &&
        host.imageId === request.imageId
      ) // prettier-ignore
    })
    const chosen =
      request.candidates.map((id) => takeable.find((agent) => agent.id === id)).find((agent) => agent) ??
      takeable.find((agent) => !request.excludedHosts.includes(agent.hostId))
    if (chosen === undefined) return answer
    if (mine.some((agent) => agent.sessionId === request.sessionId)) {
      throw new MusterError('database-refused', 'agents_user_session')
    }
    Object.assign(chosen, {
      status: 'ALLOCATED',
      userId: request.userId,
      userSlot: 1,
      sessionId: request.sessionId,
      revision: chosen.revision + 1,
    })
    Object.assign(answer, {
      outcome: 'assigned',
      hostId: chosen.hostId,
      agentId: chosen.id,
      address: '127.0.0.1',
      port: chosen.port,
      sessionId: request.sessionId,
      assignedAt: this.clock.now(),
      endedAt: null,
    })
    if (known === undefined) this.assignments.push({ ...answer })
    else Object.assign(known, answer, { requestedAt: known.requestedAt })
    this.changed(regionId)
    return answer
  }

  #snapshot(regionId: string): RegionSnapshot | undefined {
    const held = this.regions.get(regionId)
    if (held === undefined) return undefined
    const { region, version } = held
    const image =
      version === undefined
        ? undefined
        : anImage({ id: imageIdOf(regionId, version), regionId, version, status: 'ACTIVE' })
    return aSnapshot({
      now: this.clock.now(),
      region: { ...region },
      images: [...(image === undefined ? [] : [image]), ...(this.images.get(regionId) ?? [])],
      activeImage: image,
      rollouts: this.rollouts.get(regionId) ?? [],
      hosts: this.hostViews().filter((host) => host.regionId === regionId),
      blockedOfferings: this.blocks.get(regionId) ?? [],
      launchBlockedUntil: region.launchBlockedUntil ?? undefined,
    })
  }
}

export const imageIdOf = (regionId: string, version: string): string => `${regionId}:${version}`

export function aRequest(overrides: Partial<AssignRequest> = {}): AssignRequest {
  return { userId: 'alice', regions: ['fake/a'], waitMs: 0, ...overrides }
}

/** A signal that is never aborted. */
export const patient = new AbortController().signal
