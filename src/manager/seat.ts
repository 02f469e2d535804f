import { randomUUID } from 'node:crypto'

import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { AgentState, SessionTaken } from '../muster-v1/messages.ts'
import { advance, newAgentLife, servesUser } from './agent-life.ts'
import type { AgentEffect, AgentInput, AgentLife, Session } from './agent-life.ts'
import type { AgentRuntime, RunningAgent } from './agent-runtime.ts'

/** Milliseconds, but for `brokenAfter`. */
export interface SeatTiming {
  /** From an agent's start to its listening. */
  readonly startTimeoutMs: number
  /** From StartSession to the agent's answer. */
  readonly sessionTimeoutMs: number
  /** From a session's end to the agent's own exit. */
  readonly endGraceMs: number
  /** The first restart is immediate, the second waits this long, and so on, doubling. */
  readonly restartFirstMs: number
  readonly restartLongestMs: number
  /** An agent that listened this long without failing clears its seat's failures. */
  readonly steadyMs: number
  /** Failures in a row that make a seat count as broken. */
  readonly brokenAfter: number
}

export interface SeatOptions {
  readonly runtime: AgentRuntime
  readonly clock: Clock
  readonly random: () => number
  readonly timing: SeatTiming
  readonly log: Logger
  readonly app: string
  readonly report: (state: AgentState) => void
  readonly answer: (answer: SessionTaken) => void
  /** Its agent is gone, or whether it works has changed. */
  readonly changed: () => void
}

interface Occupant {
  readonly id: string
  life: AgentLife
  process: RunningAgent | undefined
  cancelTimer: () => void
}

/**
 * A place for one agent after the other: whatever ends here, by its own will or not, is followed by a new agent with a
 * new id, until the seat is closed.
 */
export class Seat {
  readonly #options: SeatOptions
  #occupant: Occupant | undefined
  #isClosed = true
  #endsAt: number | undefined
  #hasToldOfDrain = false
  #failures = 0
  #cancelRestart = (): void => undefined
  #cancelSteady = (): void => undefined

  constructor(options: SeatOptions) {
    this.#options = options
  }

  start(): void {
    this.#isClosed = false
    this.#startAgent()
  }

  /** No agent after this one; one that serves nobody ends now. */
  drain(): void {
    this.#close()
    if (this.#occupant !== undefined && !servesUser(this.#occupant.life)) this.#apply({ kind: 'stop' })
  }

  /** No agent after this one, and this one ends now, whomever it serves. */
  stop(): void {
    this.#close()
    this.stopAgent()
  }

  stopAgent(): void {
    if (this.#occupant !== undefined) this.#apply({ kind: 'stop' })
  }

  startSession(session: Session): void {
    this.#apply({ kind: 'start-session', session })
  }

  /** The provider ends the machine at this moment. Whoever serves a user is told, now or with its session. */
  interrupted(at: number): void {
    this.#endsAt = at
    if (this.#occupant !== undefined && servesUser(this.#occupant.life))
      this.#occupant.process?.interrupted(at)
  }

  /** After `drain`: whoever still serves a user is told, once. */
  tellOfDrain(): void {
    if (this.#hasToldOfDrain || this.#occupant === undefined || !servesUser(this.#occupant.life)) return
    this.#hasToldOfDrain = true
    this.#occupant.process?.draining()
  }

  holds(agentId: string): boolean {
    return this.#occupant?.id === agentId
  }

  /** undefined while there is nothing that the daemon should know of. */
  get state(): AgentState | undefined {
    const occupant = this.#occupant
    return occupant === undefined || occupant.life.port === 0 ? undefined : this.#stateOf(occupant)
  }

  get isEmpty(): boolean {
    return this.#occupant === undefined
  }

  get works(): boolean {
    return this.#failures < this.#options.timing.brokenAfter
  }

  #close(): void {
    this.#isClosed = true
    this.#cancelRestart()
  }

  #startAgent(): void {
    const { runtime, clock, timing } = this.#options
    const occupant: Occupant = {
      id: randomUUID(),
      life: newAgentLife,
      process: undefined,
      cancelTimer: clock.after(timing.startTimeoutMs, () => this.#apply({ kind: 'overdue' }, occupant)),
    }
    this.#occupant = occupant
    occupant.process = runtime.start(occupant.id, {
      listening: (port) => {
        this.#apply({ kind: 'listening', port }, occupant)
        this.#cancelSteady()
        this.#cancelSteady = clock.after(timing.steadyMs, () => this.#recover())
      },
      sessionTaken: (sessionId) => this.#apply({ kind: 'session-taken', sessionId }, occupant),
      sessionRefused: (sessionId, error) =>
        this.#apply({ kind: 'session-refused', sessionId, error }, occupant),
      connected: () => this.#apply({ kind: 'connected' }, occupant),
      ended: () => this.#apply({ kind: 'ended' }, occupant),
      exited: (exit) => {
        this.#apply({ kind: 'exited', ...exit }, occupant)
        this.#follow(occupant, exit.reason)
      },
    })
  }

  #apply(input: AgentInput, occupant = this.#occupant): void {
    if (occupant === undefined) return
    const { life, effects } = advance(occupant.life, input)
    const isNewPhase = life.phase !== occupant.life.phase
    occupant.life = life
    if (isNewPhase) occupant.cancelTimer()
    for (const effect of effects) this.#carryOut(effect, occupant)
  }

  #carryOut(effect: AgentEffect, occupant: Occupant): void {
    const { clock, timing } = this.#options
    switch (effect.kind) {
      case 'report':
        this.#options.report(this.#stateOf(occupant))
        break
      case 'begin-session': {
        const { sessionId } = effect.session
        const error = 'the agent did not answer in time'
        occupant.cancelTimer = clock.after(timing.sessionTimeoutMs, () =>
          this.#apply({ kind: 'session-refused', sessionId, error }, occupant),
        )
        occupant.process?.startSession(effect.session)
        if (this.#endsAt !== undefined) occupant.process?.interrupted(this.#endsAt)
        break
      }
      case 'answer':
        this.#options.answer({
          agentId: occupant.id,
          sessionId: effect.sessionId,
          taken: effect.error === undefined,
          error: effect.error ?? '',
        })
        break
      case 'await-exit':
        occupant.cancelTimer = clock.after(timing.endGraceMs, () => this.#apply({ kind: 'stop' }, occupant))
        break
      case 'end-process':
        occupant.process?.stop()
        break
    }
  }

  #follow(occupant: Occupant, reason: string): void {
    this.#occupant = undefined
    this.#cancelSteady()
    if (occupant.life.failed) {
      this.#failures += 1
      this.#options.log.warn({ agentId: occupant.id, failures: this.#failures, reason }, 'agent failed')
    } else if (occupant.life.session !== null) {
      this.#failures = 0
    }
    if (!this.#isClosed) {
      const { clock, random } = this.#options
      this.#cancelRestart = clock.after(this.#restartDelayMs(random), () => this.#startAgent())
    }
    this.#options.changed()
  }

  #restartDelayMs(random: () => number): number {
    if (this.#failures < 2) return 0
    const { restartFirstMs, restartLongestMs } = this.#options.timing
    const bounds = { firstMs: restartFirstMs, longestMs: restartLongestMs, jitter: 0.2 }
    return backoffMs(this.#failures - 1, bounds, random)
  }

  #recover(): void {
    if (this.#failures === 0) return
    this.#failures = 0
    this.#options.changed()
  }

  #stateOf({ id, life }: Occupant): AgentState {
    return {
      agentId: id,
      // STARTING is never asked for: it has no port.
      status: life.phase === 'STARTING' ? 'AGENT_STATUS_UNSPECIFIED' : life.phase,
      port: life.port,
      sessionId: life.session?.sessionId ?? '',
      app: this.#options.app,
      failure: life.failure,
    }
  }
}
