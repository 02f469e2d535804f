/**
 * Carries actions out, beside the turns: a launch of minutes holds no region. An action is stored as RUNNING by the
 * turn that decided it and is executed again after a crash until its end is stored, so executors are idempotent. One
 * executor per kind: a kind without one does not compile.
 *
 * A turn hands its actions on, but the answer to its commit may be lost while the actions are stored: so the open ones
 * are also read from the database, at the start, when somebody asks, and from time to time.
 */
import { isAborted } from '../lib/aborted.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { launchOf } from '../model/action.ts'
import type { Action, ActionKind } from '../model/action.ts'
import type { FleetStore } from '../store/fleet-store.ts'

/**
 * What an attempt came to. `done`: the executor has stored the end, and `next`, if any, which is carried out at once. `waiting`: nothing failed, look again soon.
 * `failed`: stored with its code, and tried again with doubling back-off.
 */
export type AttemptResult =
  | { readonly outcome: 'done'; readonly message?: string; readonly next?: Action }
  | { readonly outcome: 'waiting'; readonly forMs: number }
  | { readonly outcome: 'failed'; readonly code: string; readonly message: string }

export type ActionOf<Kind extends ActionKind> = Extract<Action, { kind: Kind }>
export type Executors = {
  readonly [Kind in ActionKind]: (action: ActionOf<Kind>, signal: AbortSignal) => Promise<AttemptResult>
}

export interface ActionQueueOptions {
  readonly store: Pick<FleetStore, 'readOpenActions' | 'beginAttempt' | 'postponeAction' | 'logAction'>
  readonly executors: Executors
  readonly clock: Clock
  readonly logger: Logger
  /** 0 to 1, of back-offs. Math.random unless told. */
  readonly random?: () => number
}

const retryBackoff = { firstMs: 500, longestMs: 30_000, jitter: 0.2 }
/** A database that is back is noticed soon. */
const databaseBackoff = { firstMs: 250, longestMs: 1_000, jitter: 0.2 }
/** How often open actions are read, and read again when that failed, in milliseconds. */
const lookEveryMs = 30_000
const lookAgainMs = 1_000
/** After a termination's end, its host's row is known to have ended within this, in milliseconds. */
const rowsLagMs = 30_000

export class ActionQueue {
  readonly #options: ActionQueueOptions
  readonly #underWay = new Map<string, Promise<void>>()
  /** Calls under way, by launch: the next one begins before the one before it has ended. */
  readonly #openCalls = new Map<string, number>()
  #stopping = new AbortController()
  #lookNow = new AbortController()
  #looking: Promise<void> = Promise.resolve()
  /** Hosts whose termination is under way, or ended when (by the clock): their rows may be a moment behind. */
  readonly #terminations = new Map<string, number>()
  #isOpen = false
  #isRead = false

  constructor(options: ActionQueueOptions) {
    this.#options = options
  }

  /** How many actions are under way. */
  get size(): number {
    return this.#underWay.size
  }

  /** Whether a call of the launch is under way: its machines may yet appear. */
  isLaunchOpen(launchId: string): boolean {
    return this.#openCalls.has(launchId)
  }

  /** Whether something ends the host, or may do so as far as is known. */
  isTerminationOpen(hostId: string): boolean {
    if (!this.#isRead) return true
    const until = this.#terminations.get(hostId)
    return until !== undefined && this.#options.clock.now() < until
  }

  start(): void {
    this.#isRead = false
    this.#stopping = new AbortController()
    this.#isOpen = true
    this.#looking = this.#keepLooking(this.#stopping.signal)
  }

  /** Attempts are told to end and waited for; what they leave open is taken up by the next active daemon. */
  async stop(): Promise<void> {
    this.#isOpen = false
    this.#stopping.abort()
    await Promise.all([this.#looking, ...this.#underWay.values()])
  }

  /** Take up every open action that is not under way, soon: one may have been missed. */
  resume(): void {
    this.#lookNow.abort()
  }

  /** An action that a turn of this daemon just stored, its first attempt counted. */
  enqueue(action: Action): void {
    this.#enqueue(action, false)
  }

  #enqueue(action: Action, isRepeat: boolean): void {
    if (!this.#isOpen || this.#underWay.has(action.id)) return
    const hostId = action.kind === 'terminate' ? action.target : null
    if (hostId !== null) this.#terminations.set(hostId, Infinity)
    const launchId = action.kind === 'launch' ? launchOf(action.id).launchId : null
    if (launchId !== null) this.#openCalls.set(launchId, (this.#openCalls.get(launchId) ?? 0) + 1)
    const run = this.#run(action, isRepeat, this.#stopping.signal).finally(() => {
      this.#underWay.delete(action.id)
      if (launchId !== null) this.#endCall(launchId)
      if (hostId !== null) this.#forgetTermination(hostId)
    })
    this.#underWay.set(action.id, run)
  }

  #endCall(launchId: string): void {
    const left = (this.#openCalls.get(launchId) ?? 0) - 1
    if (left > 0) this.#openCalls.set(launchId, left)
    else this.#openCalls.delete(launchId)
  }

  #forgetTermination(hostId: string): void {
    const now = this.#options.clock.now()
    this.#terminations.set(hostId, now + rowsLagMs)
    for (const [id, until] of this.#terminations) if (until <= now) this.#terminations.delete(id)
  }

  async #keepLooking(signal: AbortSignal): Promise<void> {
    const { store, clock, logger } = this.#options
    for (let failures = 0; !signal.aborted;) {
      this.#lookNow = new AbortController()
      try {
        for (const action of await store.readOpenActions()) this.#enqueue(action, true)
        this.#isRead = true
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1) logger.warn({ err: error }, 'open actions could not be read')
      }
      const soon = AbortSignal.any([signal, this.#lookNow.signal])
      await pause(clock, failures === 0 ? lookEveryMs : lookAgainMs, soon)
    }
  }

  async #run(action: Action, isRepeat: boolean, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    let mustCount = isRepeat
    let failures = 0
    if (action.nextAttemptAt !== null) await pause(clock, action.nextAttemptAt - clock.now(), signal)
    while (!signal.aborted) {
      const startedAt = clock.now()
      const result = await this.#attempt(action, mustCount, signal)
      if (isAborted(signal) && result.outcome !== 'done') return
      const line = {
        actionId: action.id,
        kind: action.kind,
        target: action.target,
        ms: clock.now() - startedAt,
      }
      if (result.outcome === 'done') {
        if (result.next !== undefined) this.enqueue(result.next)
        logger.info({ ...line, outcome: 'done', ...(result.message && { detail: result.message }) }, 'action')
        return
      }
      if (result.outcome === 'waiting') {
        mustCount = false
        await pause(clock, result.forMs, signal)
        continue
      }
      failures += 1
      mustCount = true
      const waitMs = backoffMs(
        failures,
        result.code === 'database-unavailable' ? databaseBackoff : retryBackoff,
        this.#options.random,
      )
      logger.warn({ ...line, outcome: result.code, detail: result.message, retryInMs: waitMs }, 'action')
      await this.#store(async (store) => {
        await store.postponeAction(action.id, clock.now() + waitMs, result.code, result.message)
        await store.logAction(action.id, 'warn', `${result.code}: ${result.message}`)
      })
      await pause(clock, waitMs, signal)
    }
  }

  async #attempt(action: Action, mustCount: boolean, signal: AbortSignal): Promise<AttemptResult> {
    try {
      if (!mustCount) return await execute(this.#options.executors, action, signal)
      const begun = await this.#options.store.beginAttempt(action.id)
      if (begun === undefined) return { outcome: 'done', message: 'it had ended already' }
      return await execute(this.#options.executors, { ...action, ...begun }, signal)
    } catch (error) {
      return {
        outcome: 'failed',
        code: codeOf(error),
        message: error instanceof Error ? error.message : String(error),
      }
    }
  }

  /** What is noted beside the work itself must not end it: the database may be away just now. */
  async #store(write: (store: ActionQueueOptions['store']) => Promise<void>): Promise<void> {
    try {
      await write(this.#options.store)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'an attempt could not be recorded')
    }
  }
}

function execute(executors: Executors, action: Action, signal: AbortSignal): Promise<AttemptResult> {
  switch (action.kind) {
    case 'launch':
      return executors.launch(action, signal)
    case 'terminate':
      return executors.terminate(action, signal)
    case 'clear-orphan':
      return executors['clear-orphan'](action, signal)
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unexpected'
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await clock.sleep(ms, signal).catch(() => undefined)
}
