import type { HostView } from '../model/snapshot.ts'
import type { FromDaemon } from '../muster-v1/messages.ts'

/** A message with the name under which it counts as said, so that each is said once a stream. */
export interface Wish {
  readonly name: string
  readonly message: FromDaemon
}

/**
 * All that a host's rows ask of its manager, from the rows alone: what was missed is found again here.
 * `sessionOf` gives the session that the manager has taken for an agent.
 */
export function wishesOf(
  host: HostView,
  sessionOf: (agentId: string) => string | undefined,
): readonly Wish[] {
  if (host.status === 'TERMINATING' || host.status === 'TERMINATED') return [leave]
  const wishes: Wish[] = []
  for (const { id: agentId, status, sessionId, userId } of host.agents) {
    if (status === 'DYING') wishes.push(stopAgent(agentId))
    else if (
      status === 'ALLOCATED' &&
      sessionId !== null &&
      userId !== null &&
      sessionOf(agentId) !== sessionId
    ) {
      wishes.push(startSession({ agentId, sessionId, userId }))
    }
  }
  if (host.interruptionAt !== null) wishes.push(interruption(host.interruptionAt))
  if (host.status === 'DRAINING' || host.statusBefore === 'DRAINING') wishes.push(drain(host.notifySessions))
  return wishes
}

export const leave: Wish = { name: 'leave', message: { message: 'leave', leave: {} } }
/** That its sessions are to be told may be wished later. */
function drain(notifySessions: boolean): Wish {
  return {
    name: notifySessions ? 'drain, sessions told' : 'drain',
    message: { message: 'drain', drain: { notifySessions } },
  }
}

/** Its manager may not have heard it itself; an earlier time is said again. */
function interruption(at: number): Wish {
  return {
    name: `interruption ${at}`,
    message: { message: 'interruption', interruption: { kind: 'INTERRUPTION', action: '', at } },
  }
}

export function stopAgent(agentId: string): Wish {
  return { name: `stop ${agentId}`, message: { message: 'stopAgent', stopAgent: { agentId } } }
}

export function startSession(offer: {
  readonly agentId: string
  readonly sessionId: string
  readonly userId: string
}): Wish {
  const { agentId, sessionId, userId } = offer
  // An agent serves one session in its life, so the agent names the wish.
  return {
    name: `start ${agentId}`,
    message: { message: 'startSession', startSession: { agentId, sessionId, userId } },
  }
}

/** The names of all that can be said of one agent. */
export function namesOf(agentId: string): readonly string[] {
  return [`stop ${agentId}`, `start ${agentId}`]
}
