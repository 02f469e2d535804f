/** Random snapshots: rows that the database would allow, with the corners that matter made likely. */
import fc from 'fast-check'
import type { Agent, AgentStatus } from '../../src/model/agent.ts'
import { agentStatuses } from '../../src/model/agent.ts'
import type { FleetEvent } from '../../src/model/event.ts'
import type { HostStatus } from '../../src/model/host.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'
import { aHost, anEvent, anImage, aSnapshot, aTick, now } from './factories.ts'

const costlyStatuses: readonly HostStatus[] = [
  'LAUNCHING',
  'PRE_CONNECTION',
  'ACTIVE',
  'DRAINING',
  'UNRESPONSIVE',
  'TERMINATING',
]
const activeImage = anImage()
const candidate = anImage({ id: 'image-3', imageId: 'ami-3', version: '3.0.0', status: 'CANDIDATE' })

/** Up to an hour and a half ago, on the seconds at which deadlines fall as well as beside them. */
const aMoment = fc
  .tuple(fc.constantFrom(0, 5, 10, 15, 60, 300, 3600), fc.integer({ min: -2, max: 1800_000 }))
  .map(([seconds, more]) => now - seconds * 1000 - more)

/** Which agents a host in this status can have: the fence leaves no WAITING one where nobody may come. */
function agentStatusesOn(status: HostStatus): readonly AgentStatus[] {
  if (status === 'LAUNCHING') return []
  if (status === 'DRAINING' || status === 'TERMINATING') return agentStatuses.slice(1)
  return agentStatuses
}

const hostRow = fc.record({
  status: fc.oneof(
    { weight: 3, arbitrary: fc.constant<HostStatus>('ACTIVE') },
    { weight: 4, arbitrary: fc.constantFrom(...costlyStatuses) },
  ),
  imageId: fc.oneof(
    { weight: 4, arbitrary: fc.constant(activeImage.id) },
    { weight: 1, arbitrary: fc.constantFrom(candidate.id, 'image-1', null) },
  ),
  capacity: fc.constantFrom(0, 1, 2, 2, 2, 3),
  protected: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
  hasConnected: fc.boolean(),
  isBound: fc.boolean(),
  statusBefore: fc.constantFrom('PRE_CONNECTION', 'ACTIVE', 'DRAINING'),
  statusSince: aMoment,
  heardAt: aMoment,
  createdAt: aMoment,
  isIdle: fc.boolean(),
  interruptedIn: fc.option(
    fc.oneof(fc.constantFrom(-1, 0, 1, 60_000), fc.integer({ min: -200_000, max: 200_000 })),
    { freq: 5 },
  ),
  isAdvised: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
  replaces: fc.option(fc.nat(11), { freq: 4 }),
  agents: fc.array(fc.tuple(fc.nat(4), aMoment), { maxLength: 3 }),
})

function toHost(row: typeof hostRow extends fc.Arbitrary<infer Row> ? Row : never, index: number): HostView {
  const { hasConnected, isBound, isIdle, statusBefore, agents, interruptedIn, isAdvised, replaces, ...rest } =
    row
  // The report of an interruption fences its host.
  const isFenced = rest.status === 'DRAINING' || rest.status === 'TERMINATING'
  const before = rest.status === 'UNRESPONSIVE' ? statusBefore : null
  const allowed = agentStatusesOn(rest.status).filter(
    (status) => !isIdle || status === 'WAITING' || status === 'DYING',
  )
  const seats = agents.map(([kind, statusSince]): Partial<Agent> => ({
    status: allowed[kind % allowed.length]!,
    statusSince,
  }))
  const talks = rest.status === 'ACTIVE' || hasConnected
  return aHost({
    ...rest,
    id: idOf(index),
    agents: allowed.length === 0 ? [] : seats,
    statusBefore: before,
    interruptionAt:
      interruptedIn !== null && (isFenced || before === 'DRAINING') ? now + interruptedIn : null,
    rebalanceAdvisedAt: isAdvised && rest.status !== 'LAUNCHING' ? rest.statusSince : null,
    replaces: replaces === null || replaces === index ? null : idOf(replaces),
    cloudId:
      rest.status === 'LAUNCHING' || (rest.status === 'DRAINING' && !isBound) ? null : `machine-${index}`,
    heartbeatAt: talks && rest.status !== 'LAUNCHING' ? rest.heardAt : null,
  })
}

function idOf(index: number): string {
  return `h${String(index).padStart(3, '0')}`
}

const someHosts: fc.Arbitrary<readonly HostView[]> = fc
  .array(hostRow, { maxLength: 12 })
  .map((rows) => rows.map(toHost))

export const someSnapshot: fc.Arbitrary<RegionSnapshot> = fc
  .record({
    hosts: someHosts,
    targetFreeAgents: fc.nat(12),
    bounds: fc.tuple(fc.nat(6), fc.nat(14)).map(([min, more]) => ({ minHosts: min, maxHosts: min + more })),
    agentsPerHost: fc.integer({ min: 1, max: 4 }),
    waitingUsers: fc.constantFrom(0, 0, 0, 1, 5),
    maxSurgeHosts: fc.constantFrom(0, 0, 1, 2, 20),
    enabled: fc.constantFrom(true, true, true, true, false),
    hasImage: fc.constantFrom(true, true, true, true, false),
    block: fc.constantFrom(undefined, undefined, undefined, -1, 0, 1, 60_000),
    forceDrain: fc.boolean(),
  })
  .map(
    ({
      hosts,
      targetFreeAgents,
      bounds,
      agentsPerHost,
      waitingUsers,
      maxSurgeHosts,
      enabled,
      hasImage,
      block,
      forceDrain,
    }) => {
      const launchBlockedUntil = block === undefined ? undefined : now + block
      const { region } = aSnapshot()
      return aSnapshot({
        hosts,
        waitingUsers,
        images: hasImage ? [activeImage, candidate] : [candidate],
        activeImage: hasImage ? activeImage : undefined,
        launchBlockedUntil,
        region: {
          targetFreeAgents,
          ...bounds,
          agentsPerHost,
          maxSurgeHosts,
          enabled,
          deadlines: { ...region.deadlines, force_drain: forceDrain },
          launchBlockedUntil: launchBlockedUntil ?? null,
          launchErrorCode: block === undefined ? null : 'insufficient-capacity',
          launchError: block === undefined ? null : 'no machines of this type are left',
        },
      })
    },
  )

export const someEvent: fc.Arbitrary<FleetEvent> = fc.constantFrom(aTick, anEvent())
