import { agentTransitionIsLegal } from '../model/agent.ts'
import type { AgentState } from '../muster-v1/messages.ts'
import type { AgentReport } from '../store/fleet-store.ts'

type KnownState = AgentState & { readonly status: AgentReport['status'] | 'GONE' }

/** Characters; an agent may say what it likes. */
const longestFailure = 1000

/** What one write tells the database. */
interface Batch {
  readonly reports: readonly AgentReport[]
  readonly isFull: boolean
}

/**
 * The agents of one host as its manager told them, merged: however many reports arrive while one is being written, the
 * next write holds one line for each agent that changed. After a write whose outcome is not known, all is told again.
 */
export class KnownAgents {
  readonly #agents = new Map<string, KnownState>()
  #unwritten = new Set<string>()
  #isFullDue = true

  get size(): number {
    return this.#agents.size
  }

  get isWritten(): boolean {
    return !this.#isFullDue && this.#unwritten.size === 0
  }

  /** Reports may repeat, but nothing goes back. */
  merge(states: readonly AgentState[]): void {
    for (const state of states) {
      if (!isKnownState(state) || state.agentId === '') continue
      const held = this.#agents.get(state.agentId)
      if (held !== undefined && !isForward(held.status, state.status)) continue
      const failure = state.failure === '' ? (held?.failure ?? '') : state.failure
      this.#agents.set(state.agentId, { ...held, ...state, failure })
      this.#unwritten.add(state.agentId)
    }
  }

  sessionTaken(agentId: string, sessionId: string): void {
    const held = this.#agents.get(agentId)
    if (held !== undefined) this.merge([{ ...held, status: 'CONNECTING', sessionId }])
  }

  /** The agent will not serve whom it is allocated to: it is spent. */
  refuse(agentId: string, failure: string): void {
    const held = this.#agents.get(agentId)
    // One that the manager does not even know is gone.
    this.merge([held === undefined ? gone(agentId, failure) : { ...held, status: 'DYING', failure }])
  }

  /** The session that the manager has taken for this agent. */
  sessionOf(agentId: string): string | undefined {
    const sessionId = this.#agents.get(agentId)?.sessionId
    return sessionId === '' ? undefined : sessionId
  }

  /** Whether the agent is there and not on its way out. */
  mayServe(agentId: string): boolean {
    const status = this.#agents.get(agentId)?.status
    return status !== undefined && status !== 'DYING' && status !== 'GONE'
  }

  isGone(agentId: string): boolean {
    return this.#agents.get(agentId)?.status === 'GONE'
  }

  takeBatch(): Batch {
    const isFull = this.#isFullDue
    const ids = isFull ? this.#agents.keys() : this.#unwritten.values()
    const states = [...ids].map((id) => this.#agents.get(id)).filter((state) => state !== undefined)
    this.#unwritten = new Set()
    this.#isFullDue = false
    return { reports: states.map(reportOf), isFull }
  }

  /** Forgets the agents that the batch told gone; gives their ids. */
  written(batch: Batch): readonly string[] {
    const gone = batch.reports.filter((report) => report.gone === true).map((report) => report.id)
    for (const id of gone) this.#agents.delete(id)
    return gone
  }

  /** Nobody knows what of a batch was stored. */
  writeAllAgain(): void {
    this.#isFullDue = true
  }
}

function gone(agentId: string, failure: string): AgentState {
  return { agentId, status: 'GONE', port: 0, sessionId: '', app: '', failure }
}

function isKnownState(state: AgentState): state is KnownState {
  return state.status !== 'AGENT_STATUS_UNSPECIFIED' && state.agentId.length <= 200
}

function isForward(was: KnownState['status'], becomes: KnownState['status']): boolean {
  if (was === 'GONE') return false
  return becomes === 'GONE' || agentTransitionIsLegal(was, becomes)
}

function reportOf({ agentId, status, port, app, failure }: KnownState): AgentReport {
  return {
    id: agentId,
    ...(status === 'GONE' ? { status: 'DYING', gone: true } : { status }),
    ...(port === 0 ? {} : { port }),
    ...(app === '' ? {} : { app }),
    ...(failure === '' ? {} : { failure: failure.slice(0, longestFailure) }),
  }
}
