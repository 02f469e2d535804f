import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import type { Agent } from '../../model/agent.ts'
import { isLive } from '../../model/agent.ts'
import { MusterError } from '../../model/errors.ts'
import type { Host } from '../../model/host.ts'
import { hostStatuses } from '../../model/host.ts'
import type { FleetView } from '../../store/fleet-view.ts'
import type { ApiContext } from '../context.ts'
import { timeText } from '../time-text.ts'
import { checked, isStorable, plainText } from '../validation.ts'

const hostsQuery = z.strictObject({
  region: plainText(128).optional(),
  status: z.enum(hostStatuses).optional(),
  /** `true`: TERMINATED hosts too, as long as they are kept. */
  all: z.enum(['true', 'false']).default('false'),
})
const noQuery = z.strictObject({})
const noBody = z.strictObject({}).optional()

/** `GET /v1/hosts`, `GET /v1/hosts/:id` and `POST /v1/hosts/:id/drain` */
export function hostRoutes(app: FastifyInstance, context: ApiContext): void {
  const { store, view } = context

  app.get('/v1/hosts', { config: { access: 'read' } }, async (request) => {
    const { region, status, all } = checked(hostsQuery, request.query)
    const hosts = await store.readHosts({ includeTerminated: all === 'true' || status === 'TERMINATED' })
    const counts = countsByHost(view)
    return {
      hosts: hosts
        .filter((host) => region === undefined || host.regionId === region)
        .filter((host) => status === undefined || host.status === status)
        .map((host) => shownHost(host, counts.get(host.id))),
    }
  })

  app.get<{ Params: { id: string } }>('/v1/hosts/:id', { config: { access: 'read' } }, async (request) => {
    checked(noQuery, request.query)
    return readShown(context, knownText(request.params.id))
  })

  app.post<{ Params: { id: string } }>(
    '/v1/hosts/:id/drain',
    { config: { access: 'operate' } },
    async (request, reply) => {
      checked(noBody, request.body)
      const id = knownText(request.params.id)
      const isDraining = await store.drainHost(id, `${request.caller} asked for it through the API`)
      const host = await readShown(context, id)
      if (isDraining) {
        context.wake(host.region, { kind: 'api', what: 'drain' })
        void reply.code(202)
        return host
      }
      if (host.status !== 'DRAINING' && host.status_before !== 'DRAINING') {
        throw new MusterError('conflict', `host ${id} is ${host.status} and cannot be drained`)
      }
      return host
    },
  )
}

/** No row has an id that cannot be stored. */
function knownText(id: string): string {
  if (!isStorable(id)) throw noSuchHost(id)
  return id
}

function noSuchHost(id: string): MusterError {
  return new MusterError('not-found', `there is no host ${JSON.stringify(id)}`)
}

interface AgentCounts {
  /** WAITING agents that can be had: the host is ACTIVE. */
  readonly free: number
  readonly live: number
}

async function readShown({ store }: ApiContext, id: string) {
  const host = await store.readHost(id)
  if (host === undefined) throw noSuchHost(id)
  const waiting = host.agents.filter((agent) => agent.status === 'WAITING').length
  const counts = { free: host.status === 'ACTIVE' ? waiting : 0, live: host.agents.filter(isLive).length }
  return { ...shownHost(host, counts), agents: host.agents.map(shownAgent) }
}

/** From the mirror: a moment behind the rows at most, and it costs no query. */
function countsByHost(view: FleetView): ReadonlyMap<string, AgentCounts> {
  const counts = new Map<string, AgentCounts>()
  for (const regionId of view.regionIds) {
    for (const host of view.snapshot(regionId)?.hosts ?? []) {
      counts.set(host.id, { free: host.status === 'ACTIVE' ? host.waitingAgents : 0, live: host.liveAgents })
    }
  }
  return counts
}

function shownHost(host: Host, counts: AgentCounts = { free: 0, live: 0 }) {
  return {
    id: host.id,
    region: host.regionId,
    provider: host.provider,
    cloud_id: host.cloudId,
    launch_id: host.launchId,
    image_id: host.imageId,
    version: host.version,
    instance_type: host.instanceType,
    address: host.address,
    capacity: host.capacity,
    free: counts.free,
    live: counts.live,
    status: host.status,
    status_before: host.statusBefore,
    status_since: timeText(host.statusSince),
    protected: host.protected,
    reason: host.reason,
    heartbeat_at: timeText(host.heartbeatAt),
    ends_at: timeText(host.interruptionAt),
    rebalance_advised_at: timeText(host.rebalanceAdvisedAt),
    replaces: host.replaces,
    created_at: timeText(host.createdAt),
  }
}

function shownAgent(agent: Agent) {
  return {
    id: agent.id,
    app: agent.app,
    status: agent.status,
    status_since: timeText(agent.statusSince),
    port: agent.port,
    user_id: agent.userId,
    session_id: agent.sessionId,
  }
}
