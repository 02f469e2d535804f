import type { AgentState, SessionTaken, StartSession } from '../muster-v1/messages.ts'
import { Seat } from './seat.ts'
import type { SeatOptions } from './seat.ts'

export interface SeatsOptions extends Omit<SeatOptions, 'changed'> {
  readonly count: number
  /** The number of seats that work has changed. */
  readonly capacityChanged: (capacity: number) => void
  /** The last agent of a closed host is gone. */
  readonly emptied: () => void
}

/** All seats of a host: finds the one that is meant, and tells when none is left. */
export class Seats {
  readonly #options: SeatsOptions
  readonly #seats: readonly Seat[]
  #isClosed = false
  #capacity: number

  constructor(options: SeatsOptions) {
    this.#options = options
    this.#capacity = options.count
    const changed = (): void => this.#changed()
    this.#seats = Array.from({ length: options.count }, () => new Seat({ ...options, changed }))
  }

  start(): void {
    for (const seat of this.#seats) seat.start()
  }

  /** No new agents; those that serve nobody end now, the others with their sessions, which may be told. Safe to repeat. */
  drain(notifySessions: boolean): void {
    this.#isClosed = true
    for (const seat of this.#seats) {
      seat.drain()
      if (notifySessions) seat.tellOfDrain()
    }
    if (this.isEmpty) this.#options.emptied()
  }

  /** Every agent ends; `emptied` follows. Safe to repeat. */
  stop(): void {
    this.#isClosed = true
    for (const seat of this.#seats) seat.stop()
    if (this.isEmpty) this.#options.emptied()
  }

  /** The provider ends the machine at this moment, milliseconds since the epoch: sessions are told. */
  interrupted(at: number): void {
    for (const seat of this.#seats) seat.interrupted(at)
  }

  startSession({ agentId, sessionId, userId }: StartSession): void {
    const seat = this.#seatOf(agentId)
    if (seat !== undefined) {
      seat.startSession({ sessionId, userId })
      return
    }
    this.#options.answer(refusal(agentId, sessionId))
  }

  /** An agent that is not here is gone, whatever the daemon's rows say. */
  stopAgent(agentId: string): void {
    const seat = this.#seatOf(agentId)
    if (seat !== undefined) {
      seat.stopAgent()
      return
    }
    this.#options.report({
      agentId,
      status: 'GONE',
      port: 0,
      sessionId: '',
      app: this.#options.app,
      failure: '',
    })
  }

  get states(): readonly AgentState[] {
    return this.#seats.map((seat) => seat.state).filter((state) => state !== undefined)
  }

  /** Seats that work. */
  get capacity(): number {
    return this.#capacity
  }

  /** Closed, and without any agent. */
  get isEmpty(): boolean {
    return this.#isClosed && this.#seats.every((seat) => seat.isEmpty)
  }

  #seatOf(agentId: string): Seat | undefined {
    return this.#seats.find((seat) => seat.holds(agentId))
  }

  #changed(): void {
    const capacity = this.#seats.filter((seat) => seat.works).length
    if (capacity !== this.#capacity) {
      this.#capacity = capacity
      this.#options.capacityChanged(capacity)
    }
    if (this.isEmpty) this.#options.emptied()
  }
}

function refusal(agentId: string, sessionId: string): SessionTaken {
  return { agentId, sessionId, taken: false, error: 'no such agent' }
}
