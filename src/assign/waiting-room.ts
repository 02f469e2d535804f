/**
 * Where requests wait for capacity, first come first served in each region. A request stands in the lines of all its
 * regions and leaves all of them when it is served. (There is one line a region and not one a version: a region has one
 * ACTIVE image, so all who stand in its line want the same agents, and whoever wants another version is sent away.)
 *
 * A line is served one claim at a time, so that nobody overtakes while a claim is under way. It is `isDirty` when
 * something happened since the last claim began: it is set by changes of the region and cleared before the claim, so no
 * wake-up is lost, and a claim that found nothing is not repeated until something happens. A timer looks again anyway.
 */
import type { Clock } from '../lib/clock.ts'
import { MusterError } from '../model/errors.ts'
import type { Assignment } from '../model/assignment.ts'
import type { MissOutcome } from './seams.ts'
import type { Ticket } from './ticket.ts'
import { WaitingLine } from './waiting-line.ts'

/** Events are hints: this is how late a lost one may make us, in milliseconds. */
const lookAgainMs = 500

export interface WaitingRoomOptions {
  readonly clock: Clock
  /** Requests that may wait at once. */
  readonly limit: number
  /** What the region asks of everybody, as one word: when it changes, those whom it no longer takes are sent away. */
  readonly terms: (regionId: string) => string
  /** Why the region does not take the request, as far as the mirror knows. */
  readonly refusal: (regionId: string, ticket: Ticket) => MissOutcome | undefined
  readonly hasFree: (regionId: string) => boolean
  readonly claim: (regionId: string, ticket: Ticket) => Promise<Assignment | MissOutcome>
}

interface Waiter {
  readonly sequence: number
  readonly ticket: Ticket
  readonly regions: Set<string>
  /** Set while an agent is being claimed for it, in whichever region. */
  claiming: Promise<void> | undefined
  /** Its time is up, or its client has gone: it ends with the claim that is under way. */
  isLate: boolean
  readonly settle: (claimed: Assignment | undefined) => void
  readonly fail: (error: unknown) => void
}

interface Line {
  readonly waiters: WaitingLine<Waiter>
  terms: string
  isDirty: boolean
  isServed: boolean
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions
  readonly #lines = new Map<string, Line>()
  readonly #demand = new Map<string, number>()
  readonly #waiters = new Set<Waiter>()
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(options: WaitingRoomOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#waiters.size
  }

  /** Waiting requests whose demand counts in the region. */
  waitingUsers(regionId: string): number {
    return this.#demand.get(regionId) ?? 0
  }

  /** Whether somebody who came before the given number stands in the region's line. */
  isAhead(regionId: string, sequence: number): boolean {
    const head = this.#lines.get(regionId)?.waiters.head
    return head !== undefined && head.sequence < sequence
  }

  /** Something happened in the region that may let somebody through. */
  look(regionId: string): void {
    const line = this.#lines.get(regionId)
    if (line === undefined) return
    line.isDirty = true
    void this.#serve(regionId, line)
  }

  /**
   * Wait in the lines of the given regions. Gives the claimed agent's assignment, or undefined when the ticket's time is
   * up, its client has gone, every region has refused it or the room is full.
   * @throws whatever a claim throws, and MusterError `unavailable` when the room closes.
   */
  async wait(
    ticket: Ticket,
    regions: readonly string[],
    signal: AbortSignal,
  ): Promise<Assignment | undefined> {
    if (this.#isClosed) throw stopping()
    const ms = ticket.waitsUntil - this.#options.clock.now()
    if (ms <= 0 || signal.aborted || regions.length === 0 || this.#waiters.size >= this.#options.limit) {
      return undefined
    }
    const { promise, resolve, reject } = Promise.withResolvers<Assignment | undefined>()
    const waiter: Waiter = {
      sequence: ticket.sequence,
      ticket,
      regions: new Set(regions),
      claiming: undefined,
      isLate: false,
      settle: resolve,
      fail: reject,
    }
    const giveUp = () => this.#end(waiter)
    const cancelTimer = this.#options.clock.after(ms, giveUp)
    signal.addEventListener('abort', giveUp, { once: true })
    this.#enter(waiter)
    try {
      return await promise
    } finally {
      cancelTimer()
      signal.removeEventListener('abort', giveUp)
    }
  }

  /** Everybody is sent away with `unavailable`. */
  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    for (const waiter of [...this.#waiters]) {
      if (waiter.claiming === undefined) this.#fail(waiter, stopping())
      else waiter.isLate = true
    }
  }

  #enter(waiter: Waiter): void {
    this.#waiters.add(waiter)
    this.#count(waiter, 1)
    for (const regionId of waiter.regions) {
      let line = this.#lines.get(regionId)
      if (line === undefined) {
        line = {
          waiters: new WaitingLine(),
          terms: this.#options.terms(regionId),
          isDirty: true,
          isServed: false,
        }
        this.#lines.set(regionId, line)
      }
      line.waiters.join(waiter)
    }
    this.#armTimer()
    // What became free between its own claim and now must not wait for the next change.
    for (const regionId of [...waiter.regions]) this.look(regionId)
  }

  #leave(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return
    this.#count(waiter, -1)
    for (const regionId of [...waiter.regions]) this.#leaveLine(waiter, regionId)
  }

  #leaveLine(waiter: Waiter, regionId: string): void {
    waiter.regions.delete(regionId)
    const line = this.#lines.get(regionId)
    if (line === undefined) return
    const wasHead = line.waiters.head === waiter
    line.waiters.leave(waiter)
    if (line.waiters.size === 0 && !line.isServed) this.#lines.delete(regionId)
    // There may be an agent for who moves up.
    else if (wasHead) line.isDirty = true
  }

  #end(waiter: Waiter): void {
    if (waiter.claiming !== undefined) {
      waiter.isLate = true
      return
    }
    this.#leave(waiter)
    waiter.settle(undefined)
  }

  #fail(waiter: Waiter, error: unknown): void {
    this.#leave(waiter)
    waiter.fail(error)
  }

  async #serve(regionId: string, line: Line): Promise<void> {
    if (line.isServed) return
    line.isServed = true
    while (line.isDirty && line.waiters.size > 0) {
      line.isDirty = false
      this.#sendAway(regionId, line)
      const waiter = line.waiters.head
      if (waiter === undefined || !this.#options.hasFree(regionId)) continue
      if (waiter.claiming === undefined) {
        waiter.claiming = this.#claimFor(waiter, regionId, line)
        await waiter.claiming
      } else {
        // Another region claims for the head. Nobody behind it goes first: it may yet need this region's agent.
        await waiter.claiming
        line.isDirty = true
      }
    }
    line.isServed = false
    if (line.waiters.size === 0) this.#lines.delete(regionId)
  }

  /** Never throws: what goes wrong is the waiter's answer. */
  async #claimFor(waiter: Waiter, regionId: string, line: Line): Promise<void> {
    try {
      const claimed = await this.#options.claim(regionId, waiter.ticket)
      waiter.claiming = undefined
      if (typeof claimed !== 'string') {
        this.#leave(waiter)
        waiter.settle(claimed)
        return
      }
      waiter.ticket.outcomes.set(regionId, claimed)
      if (claimed !== 'no-capacity') this.#refuse(waiter, regionId)
      if (this.#isClosed && this.#waiters.has(waiter)) this.#fail(waiter, stopping())
      else if (waiter.isLate) this.#end(waiter)
    } catch (error) {
      waiter.claiming = undefined
      this.#fail(waiter, error)
      // The others keep their places; the timer tries again.
      line.isDirty = false
    }
  }

  #refuse(waiter: Waiter, regionId: string): void {
    this.#leaveLine(waiter, regionId)
    if (waiter.regions.size === 0 && waiter.claiming === undefined) this.#end(waiter)
  }

  #sendAway(regionId: string, line: Line): void {
    const terms = this.#options.terms(regionId)
    if (terms === line.terms) return
    line.terms = terms
    for (const waiter of line.waiters.all()) {
      const refusal = this.#options.refusal(regionId, waiter.ticket)
      if (refusal === undefined) continue
      waiter.ticket.outcomes.set(regionId, refusal)
      this.#refuse(waiter, regionId)
    }
  }

  #count(waiter: Waiter, by: 1 | -1): void {
    const regionId = waiter.ticket.demandRegionId
    if (regionId === undefined) return
    const count = this.waitingUsers(regionId) + by
    if (count === 0) this.#demand.delete(regionId)
    else this.#demand.set(regionId, count)
  }

  #armTimer(): void {
    this.#cancelTimer ??= this.#options.clock.after(lookAgainMs, () => {
      this.#cancelTimer = undefined
      for (const regionId of [...this.#lines.keys()]) this.look(regionId)
      if (this.#waiters.size > 0 && !this.#isClosed) this.#armTimer()
    })
  }
}

function stopping(): MusterError {
  return new MusterError('unavailable', 'the daemon is stopping', { retryable: true })
}
