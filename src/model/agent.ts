/**
 * An agent is one seat for one workload on a host.
 *
 *   WAITING → ALLOCATED → CONNECTING → RUNNING → DYING
 *
 * It may skip states but never goes back; any state may go to DYING. The row is deleted when its process is gone; a
 * restarted agent is a new row.
 */
export const agentStatuses = ['WAITING', 'ALLOCATED', 'CONNECTING', 'RUNNING', 'DYING'] as const
export type AgentStatus = (typeof agentStatuses)[number]

export function agentTransitionIsLegal(was: AgentStatus, becomes: AgentStatus): boolean {
  return agentStatuses.indexOf(becomes) > agentStatuses.indexOf(was)
}

/** A live agent serves a user; a host with one is busy. */
export const liveAgentStatuses = ['ALLOCATED', 'CONNECTING', 'RUNNING'] as const

export function isLive(agent: Pick<Agent, 'status'>): boolean {
  return agent.status === 'ALLOCATED' || agent.status === 'CONNECTING' || agent.status === 'RUNNING'
}

/** One row of `fleet.agents`. Times are milliseconds since the epoch. */
export interface Agent {
  readonly id: string
  readonly hostId: string
  readonly regionId: string
  readonly app: string
  readonly status: AgentStatus
  readonly userId: string | null
  /** Which of the user's seats in this region it takes, from 1 to the region's `max_agents_per_user`. */
  readonly userSlot: number | null
  readonly sessionId: string | null
  readonly port: number | null
  readonly statusSince: number
  readonly revision: number
}
