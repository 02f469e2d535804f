import type { AgentExit, Session } from './agent-life.ts'

/**
 * How agents are run: here as child processes (process-runtime.ts), elsewhere as containers or virtual machines. A
 * runtime knows nothing of seats, sessions' meaning or the daemon.
 */
export interface AgentRuntime {
  /** Starts one agent. It never throws: what fails is told by `exited`. */
  start(agentId: string, events: AgentEvents): RunningAgent
}

/** What the manager can do to an agent. All is harmless once it has ended. */
export interface RunningAgent {
  startSession(session: Session): void
  /** The provider ends the machine at this moment, milliseconds since the epoch. */
  interrupted(at: number): void
  /** Its host takes no more sessions; its own goes on. */
  draining(): void
  /** Ends it, by force after a grace time; `exited` follows. */
  stop(): void
}

/** What an agent says of itself. */
export interface AgentEvents {
  /** It accepts connections on this port. */
  listening(port: number): void
  sessionTaken(sessionId: string): void
  sessionRefused(sessionId: string, error: string): void
  /** The session's user has come. */
  connected(): void
  /** The session is over; the agent ends by itself. */
  ended(): void
  /** Last, and once. */
  exited(exit: AgentExit): void
}
