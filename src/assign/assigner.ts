/**
 * Who gets which agent. A request goes through its regions in order, in each through the images that it may have; the claim
 * decides, and the claimed agent's manager must take the session before the user hears of it:
 *
 *   arrival → claim (region by region) → acknowledged → answer
 *                │ none free   ↑    └─ not taken: agent given up, next claim
 *                └─► waiting room ─┘
 *
 * Whoever comes while others wait for an image in a region stands behind them; with `waitMs` 0 that means no capacity there, at once.
 */
import type { Assignment, AssignRequest } from '../model/assignment.ts'
import { MusterError } from '../model/errors.ts'
import type { Agent } from '../model/agent.ts'
import type { Session } from '../store/fleet-store.ts'
import { Claims, seatOf } from './claims.ts'
import { Placement } from './placement.ts'
import type { AssignAnswer, AssignerOptions } from './seams.ts'
import { SharedWork } from './shared-work.ts'
import type { Ticket } from './ticket.ts'
import { firstThatApplies } from './ticket.ts'
import { WaitingRoom } from './waiting-room.ts'

/** Agents claimed for one request before it is told that there is no capacity. */
const mostTries = 5
const defaultQueueLimit = 10_000

export class Assigner {
  readonly #options: AssignerOptions
  readonly #placement: Placement
  readonly #claims: Claims
  readonly #room: WaitingRoom
  readonly #shared = new SharedWork<AssignAnswer>()
  #arrivals = 0
  #endChanges: (() => void) | undefined

  constructor(options: AssignerOptions) {
    this.#options = options
    this.#placement = new Placement(options.view, options.sessions, options.rank, options.logger)
    this.#claims = new Claims(options, this.#placement)
    this.#room = new WaitingRoom({
      clock: options.clock,
      limit: options.queueLimit ?? defaultQueueLimit,
      terms: (regionId) => this.#placement.terms(regionId),
      refusal: (regionId, ticket) => this.#placement.refusal(regionId, ticket.request),
      wish: (regionId, ticket) => this.#placement.wish(regionId, ticket),
      hasFree: (regionId, imageId) => this.#placement.hasFree(regionId, imageId),
      claim: (regionId, ticket, mayHaveNow) => this.#claims.claim(regionId, ticket, mayHaveNow),
    })
  }

  start(): void {
    this.#endChanges = this.#options.view.onChange((regionId) => {
      this.#placement.forget(regionId)
      this.#room.look(regionId)
    })
  }

  /** Who waits is answered `unavailable`; what has been claimed is brought to its end. */
  stop(): void {
    this.#endChanges?.()
    this.#room.close()
  }

  /** A manager's stream came: its agents can be had, though no row changed. */
  recheck(regionId: string): void {
    this.#room.look(regionId)
  }

  /** Requests in the wait queue whose demand counts in this region: each one once, in its first enabled region. */
  waitingUsers(regionId: string): number {
    return this.#room.waitingUsers(regionId)
  }

  /** Of these, those who wait there for another image than the ACTIVE one, by `images.id`. */
  waitingUsersOf(regionId: string): Readonly<Record<string, number>> {
    return this.#room.waitingUsersOf(regionId)
  }

  /**
   * The signal says that the client hung up: what was claimed for it is then given up, also after the claim.
   * Identical requests (user and idempotency key) that are under way are one.
   * @throws MusterError `unavailable`: no database, or this daemon is not the active one.
   */
  async assign(request: AssignRequest, signal: AbortSignal): Promise<AssignAnswer> {
    const startedAt = this.#options.clock.now()
    const { idempotencyKey } = request
    const answer =
      idempotencyKey === undefined
        ? await this.#serve(request, signal)
        : await this.#shared.run(`${request.userId}\n${idempotencyKey}`, signal, (shared) =>
            this.#serve(request, shared),
          )
    this.#options.logger.debug(
      {
        user: request.userId,
        region: answer.outcome === 'assigned' ? answer.seat.regionId : request.regions[0],
        ...(answer.outcome === 'assigned' && { hostId: answer.seat.hostId, agentId: answer.seat.agentId }),
        outcome: answer.outcome,
        ms: this.#options.clock.now() - startedAt,
      },
      'assign',
    )
    return answer
  }

  /** Gives an agent back: those that became DYING; none when the user has no such session. */
  async release(userId: string, sessionId: string): Promise<readonly Agent[]> {
    const agents = await unavailableIfDatabaseIs(this.#options.store.releaseSession(userId, sessionId))
    for (const agent of agents) this.#options.wake(agent.regionId, { kind: 'api', what: 'release' })
    return agents
  }

  async sessions(userId: string): Promise<readonly Session[]> {
    return await unavailableIfDatabaseIs(this.#options.store.readSessions(userId))
  }

  async #serve(request: AssignRequest, signal: AbortSignal): Promise<AssignAnswer> {
    const ticket = this.#ticket(request)
    return await unavailableIfDatabaseIs(this.#place(ticket, signal))
  }

  async #place(ticket: Ticket, signal: AbortSignal): Promise<AssignAnswer> {
    while (ticket.triesLeft > 0 && !signal.aborted) {
      const assignment = (await this.#claimNow(ticket, signal)) ?? (await this.#waitForTurn(ticket, signal))
      if (assignment === undefined) break
      ticket.triesLeft -= 1
      const result = await this.#claims.seat(assignment, ticket, signal)
      if (result === 'seated') return { outcome: 'assigned', seat: seatOf(assignment) }
      // The claim's own row says that it was given up.
      if (result === 'client-gone') return { outcome: 'given-up' }
      if (assignment.regionId !== null) ticket.outcomes.set(assignment.regionId, 'no-capacity')
    }
    return await this.#miss(ticket, signal)
  }

  /** A claim in each region that takes the request, of images that nobody waits for before it. */
  async #claimNow(ticket: Ticket, signal: AbortSignal): Promise<Assignment | undefined> {
    const { request, sequence } = ticket
    let keyWasLookedUp = request.idempotencyKey === undefined
    for (const regionId of request.regions) {
      if (signal.aborted) return undefined
      let outcome = this.#placement.refusal(regionId, request)
      if (outcome === undefined) {
        const mayHaveNow = (imageId: string) =>
          !signal.aborted && !this.#room.isAhead(regionId, imageId, sequence)
        const claimed = await this.#claims.claim(regionId, ticket, mayHaveNow)
        if (typeof claimed === 'object') return claimed
        keyWasLookedUp ||= claimed !== undefined
        outcome = claimed ?? 'no-capacity'
      }
      ticket.outcomes.set(regionId, outcome)
    }
    const [anyRegion] = request.regions
    if (keyWasLookedUp || anyRegion === undefined) return undefined
    return await this.#claims.findServed(anyRegion, ticket)
  }

  async #waitForTurn(ticket: Ticket, signal: AbortSignal): Promise<Assignment | undefined> {
    const regions = ticket.request.regions.filter((id) => ticket.outcomes.get(id) === 'no-capacity')
    const turn = this.#room.wait(ticket, regions, signal)
    // Now that it is counted: demand that waits is a reason to scale.
    if (regions.length > 0 && ticket.demandRegionId !== undefined && ticket.request.waitMs > 0) {
      this.#options.wake(ticket.demandRegionId, { kind: 'assign', outcome: 'waiting' })
    }
    return await turn
  }

  async #miss(ticket: Ticket, signal: AbortSignal): Promise<AssignAnswer> {
    const outcome = signal.aborted ? 'given-up' : firstThatApplies(ticket.outcomes.values())
    const { request, demandRegionId } = ticket
    await this.#options.store.recordMiss({
      userId: request.userId,
      idempotencyKey: ticket.key,
      regionId: demandRegionId ?? null,
      version: request.version ?? null,
      outcome,
      requestedAt: ticket.requestedAt,
    })
    if (demandRegionId !== undefined) this.#options.wake(demandRegionId, { kind: 'assign', outcome })
    if (outcome !== 'version-mismatch') return { outcome }
    return { outcome, served: this.#placement.servedVersions(request.regions) }
  }

  #ticket(request: AssignRequest): Ticket {
    const { clock, newId } = this.#options
    const requestedAt = clock.now()
    this.#arrivals += 1
    return {
      sequence: this.#arrivals,
      request,
      sessionId: request.sessionId ?? newId(),
      key: request.idempotencyKey ?? `~${newId()}`,
      requestedAt,
      waitsUntil: requestedAt + request.waitMs,
      demandRegionId: request.regions.find((regionId) => this.#placement.isEnabled(regionId)),
      outcomes: new Map(),
      failedIn: new Set(),
      triesLeft: mostTries,
    }
  }
}

async function unavailableIfDatabaseIs<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof MusterError) || error.code !== 'database-unavailable') throw error
    throw new MusterError('unavailable', 'the database cannot be reached', { cause: error, retryable: true })
  }
}
