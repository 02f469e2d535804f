/**
 * How the daemon hears. Each hint, from the stream or from a webhook, names a row, which is fetched by key into the
 * mirror and wakes its region. Hints are merged while a fetch is under way, so that a burst costs a few reads.
 * Whatever may have been missed (a reconnect, a pushed error, a full batch, the timer) rebuilds the mirror; streams
 * lose rows that commit late below the cursor, so holes in the sequence are asked for by key until they are filled or
 * a minute old. Whose right to connect may have changed is heard in the same way, beside the mirror (trust-hints.ts).
 */
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import type { Cause } from '../model/event.ts'
import type { Change, ChangeFeed, RowHint } from '../store/change-feed.ts'
import { isMirrored } from '../store/change-feed.ts'
import { mirroredTables } from '../store/fleet-store.ts'
import type { FleetStore, Rows } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import { SequenceHoles } from './sequence-holes.ts'
import type { TrustListener } from './trust-hints.ts'
import { TrustHints } from './trust-hints.ts'

const holeIntervalMs = 250
const retryMs = 250
const retryLongestMs = 1_000
/** A secret that was refused is refused again, unless somebody mends it at the other end. */
const deniedRetryMs = 30_000

export interface ChangeFollowerOptions {
  readonly feed: ChangeFeed
  readonly store: Pick<FleetStore, 'readRegionIds' | 'readRegion' | 'readRows'>
  readonly mirror: Mirror
  readonly clock: Clock
  readonly logger: Logger
  readonly resyncMs: number
  readonly wake: (regionId: string, cause: Cause) => void
  /** Nobody unless told. */
  readonly trust?: TrustListener
  /** Whether rows, and who may connect, are up to date as far as is known; `cause` says why not. */
  readonly onHealth: (isCurrent: boolean, cause?: string) => void
}

type Hints = { readonly [Table in keyof Rows]: Set<string> }
type ResyncWhy = Extract<Cause, { kind: 'resync' }>['why']

export class ChangeFollower {
  readonly #options: ChangeFollowerOptions
  readonly #holes = new SequenceHoles()
  readonly #stopping = new AbortController()
  readonly #loops: Promise<void>[] = []
  #hints = noHints()
  #resync: ResyncWhy | undefined
  #isConnected = false
  #wakeLoop: () => void = () => undefined
  #isCurrent = false
  readonly #trust: TrustHints | undefined

  constructor(options: ChangeFollowerOptions) {
    this.#options = options
    if (options.trust === undefined) return
    this.#trust = new TrustHints(options.trust, (error) => {
      this.#lost(messageOf(error))
      this.#ask('gap')
    })
  }

  start(): void {
    const { feed } = this.#options
    this.#resync = 'start'
    this.#loops.push(this.#applyLoop(), this.#holeLoop(), this.#resyncLoop())
    this.#loops.push(
      this.#startCursor().then(() =>
        feed.follow(
          () => this.#holes.highest,
          {
            connected: () => {
              this.#isConnected = true
              this.#ask('reconnect')
            },
            batch: (changes, isFull) => {
              this.#take(changes)
              if (isFull) this.#ask('gap')
            },
            gap: (why) => {
              this.#isConnected = false
              this.#lost(why)
            },
          },
          this.#stopping.signal,
        ),
      ),
    )
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wakeLoop()
    await Promise.all(this.#loops)
    await this.#trust?.settled()
  }

  /** Read everything anew: somebody saw an answer that the mirror does not explain. */
  resync(why: ResyncWhy): void {
    this.#ask(why)
  }

  /**
   * Rows to look at, heard of by another way than the stream. False while the database is not heard: its return
   * rebuilds the mirror, whatever was missed.
   */
  hint(rows: readonly RowHint[]): boolean {
    if (!this.#isCurrent) return false
    for (const { table, rowId } of rows) this.#hints[table].add(rowId)
    this.#wakeLoop()
    return true
  }

  /** The stream starts at the end of the outbox: what is older is in the rows that the first resync reads. */
  async #startCursor(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        this.#holes.startAt(await this.#options.feed.latest())
        return
      } catch (error) {
        this.#lost(messageOf(error))
        await this.#pause(retryMs)
      }
    }
  }

  #take(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#holes.seen(change.sequence, this.#options.clock.now())
      if (this.#trust?.add(change.table, change.rowId) === true) continue
      if (isMirrored(change.table)) this.#hints[change.table].add(change.rowId)
    }
    this.#wakeLoop()
  }

  #ask(why: ResyncWhy): void {
    this.#resync ??= why
    this.#wakeLoop()
  }

  #lost(why: string): void {
    if (this.#isCurrent) this.#options.logger.warn({ why }, 'the database is not heard')
    this.#isCurrent = false
    this.#options.onHealth(false, why)
  }

  async #applyLoop(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      const resync = this.#resync
      const hints = this.#hints
      if (resync === undefined && isEmpty(hints)) {
        await new Promise<void>((resolve) => (this.#wakeLoop = resolve))
        continue
      }
      this.#resync = undefined
      this.#hints = noHints()
      try {
        if (resync === undefined) await this.#applyHints(hints)
        else await this.#rebuildAll(resync)
        failures = 0
      } catch (error) {
        failures += 1
        this.#resync ??= resync ?? 'gap'
        this.#lost(messageOf(error))
        const isDenied = error instanceof MusterError && error.code === 'database-denied'
        await this.#pause(isDenied ? deniedRetryMs : Math.min(retryLongestMs, retryMs * failures))
      }
    }
  }

  async #applyHints(hints: Hints): Promise<void> {
    const asked = Object.fromEntries(mirroredTables.map((table) => [table, [...hints[table]]])) as Record<
      keyof Rows,
      string[]
    >
    const rows = await this.#options.store.readRows(asked)
    for (const regionId of this.#options.mirror.apply(rows, asked)) {
      const table = mirroredTables.find((name) => asked[name].length > 0)
      this.#options.wake(regionId, { kind: 'change', table: table ?? 'regions' })
    }
  }

  async #rebuildAll(why: ResyncWhy): Promise<void> {
    const { store, mirror, trust, wake, onHealth } = this.#options
    await trust?.rebuild(this.#isConnected)
    const regionIds = await store.readRegionIds()
    for (const regionId of regionIds) {
      await mirror.rebuild(regionId, () => store.readRegion(regionId))
    }
    mirror.retainRegions(regionIds)
    // Current only with a live stream: without one, changes would go unheard.
    if (this.#isConnected && !this.#isCurrent) {
      this.#isCurrent = true
      mirror.listenFromNow()
      onHealth(true)
    }
    for (const regionId of regionIds) wake(regionId, { kind: 'resync', why })
  }

  async #holeLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause(holeIntervalMs)
      const missing = this.#holes.open(this.#options.clock.now())
      if (missing.length === 0 || !this.#isCurrent) continue
      try {
        this.#take(await this.#options.feed.read(missing))
      } catch {
        // The database is away: its return rebuilds the mirror.
      }
    }
  }

  async #resyncLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause(this.#options.resyncMs)
      this.#ask('timer')
    }
  }

  async #pause(ms: number): Promise<void> {
    await this.#options.clock.sleep(ms, this.#stopping.signal).catch(() => undefined)
  }
}

function noHints(): Hints {
  return Object.fromEntries(mirroredTables.map((table) => [table, new Set<string>()])) as unknown as Hints
}

function isEmpty(hints: Hints): boolean {
  return mirroredTables.every((table) => hints[table].size === 0)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
