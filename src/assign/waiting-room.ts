/**
 * Where requests wait for capacity, first come first served for each image of each region. A request stands in a line of each
 * of its regions, with those who want the same there, and leaves all of them when it is served. So nobody who waits for one
 * version holds up who waits for another; whom several images will do (a canary's users) keeps his turn at each.
 *
 * A line is served one claim at a time, so that nobody overtakes while a claim is under way; where two lines want an image
 * the one whose head came first goes first, and its head's leaving lets the other on. A line is `isDirty` when something
 * happened since its last claim began: it is set by changes of the region and cleared before the claim, so no wake-up is
 * lost, and a claim that found nothing is not repeated until something happens. A timer looks again anyway.
 *
 * Which images will do follows from the region's terms (what serves, what is tried in a canary). When they change, everybody
 * is lined up anew in the order of arrival, so who waits without a version is served by the image that is ACTIVE by then.
 */
import type { Clock } from '../lib/clock.ts'
import { MusterError } from '../model/errors.ts'
import type { Assignment } from '../model/assignment.ts'
import type { Wish } from './placement.ts'
import type { Line } from './region-lines.ts'
import { RegionLines } from './region-lines.ts'
import type { MissOutcome } from './seams.ts'
import type { Ticket } from './ticket.ts'

/** Events are hints: this is how late a lost one may make us, in milliseconds. */
const lookAgainMs = 500

export interface WaitingRoomOptions {
  readonly clock: Clock
  /** Requests that may wait at once. */
  readonly limit: number
  /** What `refusal` and `wish` follow from, as one word: when it changes, those whom the region no longer takes are sent away. */
  readonly terms: (regionId: string) => string
  /** Why the region does not take the request, as far as the mirror knows. */
  readonly refusal: (regionId: string, ticket: Ticket) => MissOutcome | undefined
  readonly wish: (regionId: string, ticket: Ticket) => Wish
  readonly hasFree: (regionId: string, imageId: string) => boolean
  /** Of those images that `mayHaveNow`; undefined: there is none, no claim was made. */
  readonly claim: (
    regionId: string,
    ticket: Ticket,
    mayHaveNow: (imageId: string) => boolean,
  ) => Promise<Assignment | MissOutcome | undefined>
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

/** The lines of a region, and the terms that they were formed by. */
interface Hall {
  readonly lines: RegionLines<Waiter>
  terms: string
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions
  readonly #halls = new Map<string, Hall>()
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

  /** Of these, those who wait there for another image than the ACTIVE one, by its id. */
  waitingUsersOf(regionId: string): Readonly<Record<string, number>> {
    return this.#halls.get(regionId)?.lines.countedByOther() ?? {}
  }

  /** Whether somebody who came before the given number waits for the region's image. */
  isAhead(regionId: string, imageId: string, sequence: number): boolean {
    return this.#halls.get(regionId)?.lines.isAhead(imageId, sequence) ?? false
  }

  /** Something happened in the region that may let somebody through. */
  look(regionId: string): void {
    const hall = this.#halls.get(regionId)
    if (hall === undefined) return
    this.#heedTerms(regionId, hall)
    this.#stir(regionId)
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
      let hall = this.#halls.get(regionId)
      if (hall === undefined) {
        hall = { lines: new RegionLines(regionId), terms: this.#options.terms(regionId) }
        this.#halls.set(regionId, hall)
      }
      hall.lines.join(waiter, this.#options.wish(regionId, waiter.ticket))
    }
    this.#armTimer()
    // What became free between its own claim and now must not wait for the next change.
    for (const regionId of [...waiter.regions]) this.look(regionId)
  }

  #leave(waiter: Waiter): void {
    // There may be an agent for who moves up.
    for (const regionId of this.#drop(waiter)) this.#stir(regionId)
  }

  /** Out of all lines; gives the regions where it stood at the head. */
  #drop(waiter: Waiter): readonly string[] {
    if (!this.#waiters.delete(waiter)) return []
    this.#count(waiter, -1)
    return [...waiter.regions].filter((regionId) => this.#leaveRegion(waiter, regionId))
  }

  #leaveRegion(waiter: Waiter, regionId: string): boolean {
    waiter.regions.delete(regionId)
    const hall = this.#halls.get(regionId)
    const wasHead = hall?.lines.leave(waiter) ?? false
    if (hall?.lines.isEmpty === true) this.#halls.delete(regionId)
    return wasHead
  }

  #end(waiter: Waiter): void {
    if (waiter.claiming !== undefined) {
      waiter.isLate = true
      return
    }
    this.#leave(waiter)
    waiter.settle(undefined)
  }

  /** Nobody moves up at once, for what failed might fail for all of them: the timer tries again. */
  #fail(waiter: Waiter, error: unknown): void {
    this.#drop(waiter)
    waiter.fail(error)
  }

  #stir(regionId: string): void {
    const hall = this.#halls.get(regionId)
    for (const line of hall?.lines.all() ?? []) {
      line.isDirty = true
      void this.#serve(regionId, line)
    }
  }

  async #serve(regionId: string, line: Line<Waiter>): Promise<void> {
    if (line.isServed) return
    line.isServed = true
    while (line.isDirty) {
      line.isDirty = false
      const waiter = line.waiters.head
      if (waiter === undefined) break
      if (!line.images.some((imageId) => this.#mayHaveNow(regionId, imageId, waiter))) continue
      if (waiter.claiming === undefined) {
        waiter.claiming = this.#claimFor(waiter, regionId, line)
        await waiter.claiming
      } else {
        // Another line claims for the head. Nobody behind it goes first: it may yet need this region's agent.
        await waiter.claiming
        line.isDirty = true
      }
    }
    line.isServed = false
    const hall = this.#halls.get(regionId)
    hall?.lines.tidy(line)
    if (hall?.lines.isEmpty === true) this.#halls.delete(regionId)
  }

  #mayHaveNow(regionId: string, imageId: string, { sequence }: Waiter): boolean {
    return this.#options.hasFree(regionId, imageId) && !this.isAhead(regionId, imageId, sequence)
  }

  /** Never throws: what goes wrong is the waiter's answer. */
  async #claimFor(waiter: Waiter, regionId: string, line: Line<Waiter>): Promise<void> {
    try {
      const claimed =
        (await this.#options.claim(regionId, waiter.ticket, (imageId) =>
          this.#mayHaveNow(regionId, imageId, waiter),
        )) ?? 'no-capacity'
      waiter.claiming = undefined
      if (typeof claimed !== 'string') {
        this.#leave(waiter)
        waiter.settle(claimed)
        return
      }
      waiter.ticket.outcomes.set(regionId, claimed)
      if (claimed !== 'no-capacity' && this.#leaveRegion(waiter, regionId)) this.#stir(regionId)
      if (this.#isClosed && this.#waiters.has(waiter)) this.#fail(waiter, stopping())
      else if (waiter.isLate || waiter.regions.size === 0) this.#end(waiter)
    } catch (error) {
      waiter.claiming = undefined
      this.#fail(waiter, error)
      line.isDirty = false
    }
  }

  /** When the terms have changed: sends away whom the region no longer takes, and lines up the others by what they want now. */
  #heedTerms(regionId: string, hall: Hall): void {
    const terms = this.#options.terms(regionId)
    if (terms === hall.terms) return
    hall.terms = terms
    for (const waiter of hall.lines.clear()) {
      const refusal = this.#options.refusal(regionId, waiter.ticket)
      if (refusal === undefined) {
        hall.lines.join(waiter, this.#options.wish(regionId, waiter.ticket))
        continue
      }
      waiter.ticket.outcomes.set(regionId, refusal)
      waiter.regions.delete(regionId)
      if (waiter.regions.size === 0) this.#end(waiter)
    }
    if (hall.lines.isEmpty) this.#halls.delete(regionId)
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
      for (const regionId of [...this.#halls.keys()]) this.look(regionId)
      if (this.#waiters.size > 0 && !this.#isClosed) this.#armTimer()
    })
  }
}

function stopping(): MusterError {
  return new MusterError('unavailable', 'the daemon is stopping', { retryable: true })
}
