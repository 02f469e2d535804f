/** Claims and sessions: what users cause. */
import { z } from 'zod'

import { liveAgentStatuses } from '../model/agent.ts'
import { MusterError } from '../model/errors.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, parse, timeText } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { agentRow, assignmentRow, time } from './rows.ts'

type SessionWrites = Pick<
  FleetStore,
  'claimAgent' | 'giveUpAgent' | 'recordMiss' | 'readSessions' | 'releaseSession'
>

const sessionRow = z.object({
  id: z.string(),
  host_id: z.string(),
  region_id: z.string(),
  session_id: z.string(),
  port: z.number().nullable(),
  status: z.string(),
  host: z.object({ address: z.string().nullable(), interruption_at: time.nullable() }),
})

const someSessions = z.object({ agents: z.array(sessionRow) })
const released = z.object({ update_fleet_agents: z.object({ returning: z.array(agentRow) }) })
const id = z.object({ id: z.string() })

export function createSessionWrites(client: HasuraClient, now: () => number): SessionWrites {
  return {
    claimAgent: async (regionId, fence, claim) => {
      const request = {
        user_id: claim.userId,
        session_id: claim.sessionId,
        idempotency_key: claim.idempotencyKey,
        image_id: claim.imageId,
        version: claim.version,
        requested_at: timeText(claim.requestedAt),
        demand_region_id: claim.demandRegionId,
        candidates: claim.candidates,
        excluded_hosts: claim.excludedHosts,
        rollout_id: claim.rolloutId,
        arm: claim.arm,
      }
      const args = { region_id: regionId, fence, request }
      const [row] = await callFunction(client, 'claim_agent', args, assignmentRow)
      if (row === undefined) throw new MusterError('database-refused', 'claim_agent answered without a row')
      return row
    },
    giveUpAgent: async (assignmentId, agentId, fence, failure) => {
      const args = { assignment_id: assignmentId, agent_id: agentId, fence, failure }
      await callFunction(client, 'give_up_agent', args, id)
    },
    recordMiss: async (miss) => {
      await client.request(documents.recordMiss, {
        miss: {
          user_id: miss.userId,
          idempotency_key: miss.idempotencyKey,
          region_id: miss.regionId,
          demand_region_id: miss.regionId,
          version: miss.version,
          outcome: miss.outcome,
          requested_at: timeText(miss.requestedAt),
          updated_at: timeText(now()),
        },
      })
    },
    readSessions: async (user) => {
      const answer = await client.request(documents.sessions, { user, live: liveAgentStatuses })
      const { agents } = parse(someSessions, answer, 'fleet_agents')
      return agents.map((agent) => ({
        sessionId: agent.session_id,
        agentId: agent.id,
        hostId: agent.host_id,
        regionId: agent.region_id,
        address: agent.host.address,
        port: agent.port,
        status: agent.status,
        endsAt: agent.host.interruption_at,
      }))
    },
    releaseSession: async (user, session) => {
      const answer = await client.request(documents.releaseSession, {
        user,
        session,
        live: liveAgentStatuses,
      })
      return parse(released, answer, 'update_fleet_agents').update_fleet_agents.returning
    },
  }
}
