/** Rows and snapshots with defaults: a test names only what it is about. Healthy, of region test/one, seen at `now`. */
import type { Agent, AgentStatus } from '../../src/model/agent.ts'
import { isLive } from '../../src/model/agent.ts'
import type { Cause, FleetEvent } from '../../src/model/event.ts'
import type { BlockedOffering } from '../../src/model/offering.ts'
import type { Image, Region } from '../../src/model/region.ts'
import { defaultBlastRadius, defaultDeadlines } from '../../src/model/region.ts'
import type { Rollout } from '../../src/model/rollout.ts'
import { defaultRolloutOptions } from '../../src/model/rollout.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'

/** The moment of every snapshot, milliseconds since the epoch. */
export const now = Date.UTC(2026, 10, 20, 12)
const anHourAgo = now - 3_600_000

export function aRegion(changes: Partial<Region> = {}): Region {
  return {
    id: 'test/one',
    provider: 'test',
    enabled: true,
    algorithm: 'default',
    options: {},
    deadlines: defaultDeadlines,
    blastRadius: defaultBlastRadius,
    endings: {},
    sweepConfirmedUntil: null,
    targetFreeAgents: 4,
    minHosts: 0,
    maxHosts: 10,
    maxSurgeHosts: 0,
    instanceTypes: ['small', 'large'],
    agentsPerHost: 2,
    agentsPerHostGiven: 2,
    agentsPerHostDiscovered: null,
    providerOptions: {},
    maxAgentsPerUser: 1,
    channel: 'default',
    rollout: {},
    turn: 7,
    launchFailures: 0,
    launchBlockedUntil: null,
    launchErrorCode: null,
    launchError: null,
    revision: 1,
    ...changes,
  }
}

export function anImage(changes: Partial<Image> = {}): Image {
  return {
    id: 'image-2',
    regionId: 'test/one',
    imageId: 'ami-2',
    version: '2.0.0',
    status: 'ACTIVE',
    createdAt: anHourAgo,
    revision: 1,
    ...changes,
  }
}

/** From the ACTIVE image-2 to image-3, a minute after it began. */
export function aRollout(changes: Partial<Rollout> = {}): Rollout {
  const toImage = changes.toImage ?? changes.id ?? 'image-3'
  return {
    id: toImage,
    regionId: 'test/one',
    groupId: toImage,
    fromImage: 'image-2',
    toImage,
    version: '3.0.0',
    state: 'PREPARING',
    stateSince: now - 60_000,
    paused: false,
    canaryShare: 0,
    options: defaultRolloutOptions,
    reason: null,
    counts: {},
    isCleared: false,
    clearedVersion: null,
    wantedFree: 0,
    channelVersion: null,
    switchWanted: false,
    rollbackWanted: null,
    createdAt: now - 60_000,
    readyAt: null,
    switchedAt: null,
    endedAt: null,
    revision: 1,
    ...changes,
  }
}

export function anAgent(changes: Partial<Agent> = {}): Agent {
  const status = changes.status ?? 'WAITING'
  const user = isLive({ status }) ? { userId: 'user-1', userSlot: 1, sessionId: 'session-1' } : {}
  return {
    id: 'agent-1',
    hostId: 'h1',
    regionId: 'test/one',
    app: 'default',
    status,
    userId: null,
    userSlot: null,
    sessionId: null,
    port: 4000,
    statusSince: now - 5_000,
    revision: 1,
    ...user,
    ...changes,
  }
}

export function aBlock(changes: Partial<BlockedOffering> = {}): BlockedOffering {
  const { instanceType = 'small', zone = 'a', lifecycle = 'on-demand' } = changes
  const regionId = changes.regionId ?? 'test/one'
  return {
    id: [regionId, instanceType, zone, lifecycle].join('|'),
    regionId,
    instanceType,
    zone,
    lifecycle,
    code: 'insufficient-capacity',
    reason: 'none left',
    until: now + 60_000,
    revision: 1,
    ...changes,
  }
}

type HostChanges = Partial<Omit<HostView, 'agents' | 'waitingAgents' | 'liveAgents'>> & {
  /** A status stands for an agent of the host in it. */
  readonly agents?: readonly (AgentStatus | Partial<Agent>)[]
}

/** An ACTIVE host of the ACTIVE image with two WAITING agents; of another status, without agents. */
export function aHost(changes: HostChanges = {}): HostView {
  const { agents: seats, ...rest } = changes
  const id = rest.id ?? 'h1'
  const status = rest.status ?? 'ACTIVE'
  const hasConnected = status !== 'LAUNCHING' && status !== 'PRE_CONNECTION'
  const agents = (seats ?? (status === 'ACTIVE' ? ['WAITING', 'WAITING'] : [])).map((seat, index) =>
    anAgent({
      id: `${id}-a${index + 1}`,
      hostId: id,
      ...(typeof seat === 'string' ? { status: seat } : seat),
    }),
  )
  return {
    id,
    regionId: 'test/one',
    provider: 'test',
    cloudId: status === 'LAUNCHING' ? null : `machine-${id}`,
    launchId: 'test/one:1.0',
    imageId: 'image-2',
    version: '2.0.0',
    instanceType: 'small',
    zone: '',
    lifecycle: 'on-demand',
    address: hasConnected ? '127.0.0.1' : null,
    capacity: 2,
    status,
    statusBefore: status === 'UNRESPONSIVE' ? 'ACTIVE' : null,
    statusSince: now - 5_000,
    protected: false,
    reason: null,
    heartbeatAt: hasConnected ? now - 1_000 : null,
    interruptionAt: null,
    rebalanceAdvisedAt: null,
    replaces: null,
    notifySessions: false,
    heardAt: hasConnected ? now - 1_000 : anHourAgo,
    createdAt: anHourAgo,
    revision: 1,
    ...rest,
    agents,
    waitingAgents: agents.filter((agent) => agent.status === 'WAITING').length,
    liveAgents: agents.filter(isLive).length,
  }
}

type SnapshotChanges = Partial<Omit<RegionSnapshot, 'region'>> & { readonly region?: Partial<Region> }

export function aSnapshot({ region, ...changes }: SnapshotChanges = {}): RegionSnapshot {
  const activeImage = anImage()
  return {
    now,
    listeningSince: anHourAgo,
    region: aRegion(region),
    images: [activeImage],
    activeImage,
    hosts: [],
    blockedOfferings: [],
    waitingUsers: 0,
    waitingUsersOf: {},
    rollouts: [],
    rolloutHealth: undefined,
    channelVersion: undefined,
    launchBlockedUntil: undefined,
    ...changes,
  }
}

export function anEvent(...causes: readonly Cause[]): FleetEvent {
  return {
    regionId: 'test/one',
    causes: causes.length === 0 ? [{ kind: 'change', table: 'agents' }] : causes,
  }
}

export const aTick: FleetEvent = anEvent({ kind: 'tick', schedule: '* * * * *' })
