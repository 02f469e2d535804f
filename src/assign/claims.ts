/** One claim, and what becomes of the claimed agent: its session is acknowledged by the manager, or it is given up. */
import { MusterError } from '../model/errors.ts'
import type { Assignment } from '../model/assignment.ts'
import type { Choice } from './outlook.ts'
import type { Placement } from './placement.ts'
import type { AssignerOptions, MissOutcome, Seat } from './seams.ts'
import type { Ticket } from './ticket.ts'

const defaultAcknowledgeMs = 5_000
/** Characters of a manager's words that are kept. */
const longestFailure = 1_000
/** No image has this id: a claim with it can only find an assignment that was made before. */
const noImage: Choice = { imageId: '', rolloutId: null, arm: null }

export type SeatResult = 'seated' | 'not-taken' | 'client-gone'

export class Claims {
  readonly #options: AssignerOptions
  readonly #placement: Placement

  constructor(options: AssignerOptions, placement: Placement) {
    this.#options = options
    this.#placement = placement
  }

  /**
   * An agent of the first image that has one, of those that the request may have and that it may have now. What it may have is
   * looked up again after each claim: a switch in between leaves nobody with what was right before. Undefined: no claim was
   * made.
   * @throws MusterError `unavailable` (this daemon stands by) and whatever the store throws.
   */
  async claim(
    regionId: string,
    ticket: Ticket,
    mayHaveNow: (imageId: string) => boolean,
  ): Promise<Assignment | MissOutcome | undefined> {
    const tried = new Set<string>()
    for (;;) {
      const choice = this.#placement
        .choices(regionId, ticket)
        .find(({ imageId }) => !tried.has(imageId) && mayHaveNow(imageId))
      if (choice === undefined) return tried.size === 0 ? undefined : 'no-capacity'
      tried.add(choice.imageId)
      const claimed = await this.#claimOf(regionId, choice, ticket)
      if (claimed !== 'no-capacity') return claimed
    }
  }

  /** What the request's idempotency key was served with before, if it was. */
  async findServed(regionId: string, ticket: Ticket): Promise<Assignment | undefined> {
    const found = await this.#call(regionId, noImage, ticket)
    return found?.outcome === 'assigned' ? found : undefined
  }

  /** @throws MusterError `unavailable` for a session of an earlier answer whose host is away: it may come back. */
  async seat(assignment: Assignment, ticket: Ticket, signal: AbortSignal): Promise<SeatResult> {
    const replayed = isReplay(assignment, ticket)
    if (replayed && this.#wasAcknowledged(assignment)) return 'seated'
    const refusal = await this.#startSession(assignment, replayed, signal)
    if (refusal === undefined && !signal.aborted) return 'seated'
    // A client that asked again and hung up has had its answer before: that session is not touched.
    if (signal.aborted && replayed) return 'client-gone'
    // Who hung up tells nothing of the agent.
    const failure = signal.aborted ? null : (refusal ?? 'unknown').slice(0, longestFailure)
    await this.#giveUp(assignment, failure)
    if (failure === null) return 'client-gone'
    const { rolloutId, arm } = assignment
    if (rolloutId !== null && arm === 'candidate') ticket.failedIn.add(rolloutId)
    return 'not-taken'
  }

  async #claimOf(regionId: string, choice: Choice, ticket: Ticket): Promise<Assignment | MissOutcome> {
    const assignment = await this.#call(regionId, choice, ticket)
    if (assignment === undefined) return 'user-already-active'
    if (assignment.outcome === 'not-active') throw standingBy()
    if (assignment.outcome !== 'assigned') return assignment.outcome
    const { agentId } = assignment
    if (agentId !== null && !isReplay(assignment, ticket)) {
      this.#placement.spend(regionId, choice.imageId, agentId)
      this.#options.wake(regionId, { kind: 'assign', outcome: 'assigned' })
    }
    return assignment
  }

  async #call(regionId: string, choice: Choice, ticket: Ticket): Promise<Assignment | undefined> {
    const { leadership, store } = this.#options
    const fence = leadership.fence()
    if (fence === undefined) throw standingBy()
    const { request } = ticket
    const { imageId, rolloutId, arm } = choice
    try {
      return await store.claimAgent(regionId, fence, {
        userId: request.userId,
        sessionId: ticket.sessionId,
        idempotencyKey: ticket.key,
        imageId,
        version: request.version ?? null,
        requestedAt: ticket.requestedAt,
        demandRegionId: ticket.demandRegionId ?? regionId,
        ...this.#placement.offer(regionId, imageId, request),
        rolloutId,
        arm,
      })
    } catch (error) {
      if (await this.#sessionIsTaken(ticket, error)) return undefined
      throw error
    }
  }

  /** The database refuses a second live agent with the same session of the same user. */
  async #sessionIsTaken({ request }: Ticket, error: unknown): Promise<boolean> {
    if (request.sessionId === undefined) return false
    if (!(error instanceof MusterError) || error.code !== 'database-refused') return false
    const sessions = await this.#options.store.readSessions(request.userId)
    return sessions.some((session) => session.sessionId === request.sessionId)
  }

  /** An earlier answer whose session has run or is over needs no manager any more. */
  #wasAcknowledged({ regionId, hostId, agentId, endedAt }: Assignment): boolean {
    if (endedAt !== null || regionId === null || hostId === null || agentId === null) return true
    const status = this.#placement.agentStatus(regionId, hostId, agentId)
    return status !== 'WAITING' && status !== 'ALLOCATED'
  }

  /** Gives why the manager did not take the session; undefined when it did. */
  async #startSession(
    assignment: Assignment,
    replayed: boolean,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { sessions, clock, acknowledgeMs = defaultAcknowledgeMs } = this.#options
    const { hostId, agentId, sessionId, userId } = assignment
    if (hostId === null || agentId === null || sessionId === null) return 'the assignment names no agent'
    if (!sessions.isConnected(hostId)) {
      if (replayed) {
        throw new MusterError('unavailable', `host ${hostId} is not connected at the moment`, {
          retryable: true,
        })
      }
      return 'its host is not connected'
    }
    const ended = new AbortController()
    const hangUp = () => ended.abort(signal.reason)
    signal.addEventListener('abort', hangUp, { once: true })
    const cancel = clock.after(acknowledgeMs, () =>
      ended.abort(new MusterError('unavailable', `no acknowledgement within ${acknowledgeMs} ms`)),
    )
    try {
      if (signal.aborted) hangUp()
      const session = { agentId, sessionId, userId }
      const answer = await unlessAborted(sessions.startSession(hostId, session, ended.signal), ended.signal)
      return answer.taken ? undefined : answer.error
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    } finally {
      signal.removeEventListener('abort', hangUp)
      cancel()
    }
  }

  /** Best effort: what it does not reach, the deadline of ALLOCATED agents ends. */
  /** `failure`: why the manager did not take the session; null: the client hung up. */
  async #giveUp(assignment: Assignment, failure: string | null): Promise<void> {
    const { store, leadership, logger, wake } = this.#options
    const { id, agentId, hostId, regionId } = assignment
    if (agentId === null || regionId === null) return
    const why = failure ?? 'the client hung up'
    logger.warn({ region: regionId, hostId, agentId, why }, 'agent given up')
    try {
      await store.giveUpAgent(id, agentId, leadership.fence() ?? 0, failure)
      wake(regionId, { kind: 'assign', outcome: 'given-up' })
    } catch (error) {
      logger.error({ region: regionId, agentId, err: error }, 'an agent could not be given up')
    }
  }
}

export function seatOf(assignment: Assignment): Seat {
  const { agentId, hostId, regionId, address, port, sessionId } = assignment
  if (agentId === null || hostId === null || regionId === null || sessionId === null) {
    throw new MusterError('internal', `assignment ${assignment.id} was served without an agent`)
  }
  return { agentId, hostId, regionId, address, port, sessionId }
}

/** Whether this is what an earlier request with the same key was served with. */
function isReplay(assignment: Assignment, ticket: Ticket): boolean {
  return assignment.sessionId !== ticket.sessionId || assignment.requestedAt !== ticket.requestedAt
}

function standingBy(): MusterError {
  return new MusterError('unavailable', 'another daemon is the active one', { retryable: true })
}

/** For a seam that may not heed its signal: the wait ends all the same. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
