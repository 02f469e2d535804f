/**
 * The blast radius: how many of a region's hosts may be ended, within a while, because the sweep or upkeep found
 * something and nobody wished it. A database restored from a backup, a network in two, a fault of ours: each makes a
 * finding of every host, and every one looks right by itself. Past the limit they wait for a person's word
 * (`npx muster sweep --confirm`), or until what was ended is longer ago than the window.
 *
 * What counts is kept in the region's row (`endings`), written by the turn that decides it: a daemon that starts anew,
 * or crashes again and again, gets no fresh budget. The turn's number guards the row, so that two turns cannot both
 * spend it. docs/design/blast-radius.md says what counts, and why the rest does not.
 */
import type { UpkeepDecision } from '../model/decision.ts'
import type { Endings } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

/** A host that never connected, found this long after its deadline, may not be what its row says. */
const foundLateMs = 600_000
/** Of a window in which more were confirmed, the latest are kept: a row must not grow with the fleet. */
const keptAtMost = 1_000

/** How many hosts findings may end in one window of the region. */
export function endingsAllowed({ region, hosts }: Pick<RegionSnapshot, 'region' | 'hosts'>): number {
  const { percent, at_least: atLeast } = region.blastRadius
  return Math.max(atLeast, Math.floor((hosts.length * percent) / 100))
}

/** The budget of one turn. */
export class EndingsBudget {
  /** A person has let all findings go on for now. */
  readonly isConfirmed: boolean
  readonly #now: number
  readonly #windowMs: number
  readonly #allowed: number
  readonly #endings: Map<string, number>
  #isSpent = false

  constructor(snapshot: RegionSnapshot) {
    const { region, now } = snapshot
    this.isConfirmed = (region.sweepConfirmedUntil ?? 0) > now
    this.#now = now
    this.#windowMs = region.blastRadius.window * 1000
    this.#allowed = endingsAllowed(snapshot)
    // What lies in the future was written by a clock that was a little ahead, and counts; or by one that was wrong.
    const entries = Object.entries(region.endings)
    this.#endings = new Map(entries.filter(([, at]) => Math.abs(now - at) < this.#windowMs))
  }

  /** Spends one ending, unless the target was counted within the window. false: there is none left. */
  take(target: string): boolean {
    if (this.#endings.has(target)) return true
    if (!this.isConfirmed && this.#endings.size >= this.#allowed) return false
    this.#endings.set(target, this.#now)
    this.#isSpent = true
    return true
  }

  /** What the region's row is to hold from now on; undefined: this turn has spent nothing. */
  get endings(): Endings | undefined {
    if (!this.#isSpent) return undefined
    const latestFirst = [...this.#endings].sort(([, one], [, other]) => other - one)
    return Object.fromEntries(latestFirst.slice(0, Math.max(keptAtMost, this.#allowed)))
  }

  /** Milliseconds since the epoch: when one of those that were counted no longer is; undefined: there are none. */
  get freesAt(): number | undefined {
    if (this.#endings.size === 0) return undefined
    return Math.min(...this.#endings.values()) + this.#windowMs
  }
}

/** What a decision ends though nobody wished it; undefined: nothing that counts. */
export function involuntaryTarget(
  decision: UpkeepDecision,
  host: HostView | undefined,
  { now, region }: Pick<RegionSnapshot, 'now' | 'region'>,
): string | undefined {
  // A row that once had a machine has it for ever: beyond those of its launch, no user was ever on one.
  if (decision.kind === 'clear-orphan') return decision.isSurplus === true ? undefined : decision.cloudId
  if (decision.kind !== 'terminate' && decision.kind !== 'host-gone') return undefined
  // It is fenced already, or there is no machine behind it.
  if (host === undefined || host.status === 'TERMINATING' || host.cloudId === null) return undefined
  // Its provider has given notice, and ends it whatever is held back here.
  if (host.interruptionAt !== null) return undefined
  if (decision.kind === 'host-gone') {
    return decision.isProven === true || isWished(host) ? undefined : host.id
  }
  // The end of a drain, whose deadline and force are the region's own settings.
  if (host.status === 'DRAINING' || isWished(host)) return undefined
  const foundLate = host.statusSince + region.deadlines.connect * 1000 + foundLateMs < now
  return decision.launchFailed === undefined || foundLate ? host.id : undefined
}

/** Somebody, or the algorithm, had drained it, and its last session is over. */
function isWished(host: HostView): boolean {
  return (host.status === 'DRAINING' || host.statusBefore === 'DRAINING') && host.liveAgents === 0
}
