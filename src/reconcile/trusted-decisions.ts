/**
 * What the sweep and upkeep found, as far as a turn may do it: each host once, the sweep's findings first, since it has
 * asked the provider; rows that have moved on since are left alone; and no more endings than the blast radius allows.
 * What is held back is said in the decision log, and decided again in each turn. Pure.
 */
import type { RefuseDecision, ReportDecision, UpkeepDecision } from '../model/decision.ts'
import type { Endings } from '../model/region.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'
import { EndingsBudget, involuntaryTarget } from './blast-radius.ts'
import { findHosts } from './host-lookup.ts'

export interface TrustedDecisions {
  /** To be done in this turn. */
  readonly decisions: readonly UpkeepDecision[]
  readonly held: readonly UpkeepDecision[]
  /** What to say of `held`. */
  readonly said: readonly (ReportDecision | RefuseDecision)[]
  /** As `regions.endings` is to be; undefined: as it is. */
  readonly endings: Endings | undefined
  /** Milliseconds since the epoch: when some of `held` may go on; undefined: not by time alone. */
  readonly freesAt: number | undefined
}

/** How many of those that are held back are named one by one. */
const namedAtMost = 20

/** The host whose fate a decision settles for this turn. */
export function settledHost(decision: UpkeepDecision): string | undefined {
  const { kind } = decision
  return kind === 'clear-orphan' || kind === 'report' || kind === 'refuse' ? undefined : decision.hostId
}

export function trustedDecisions(
  snapshot: RegionSnapshot,
  sweep: readonly UpkeepDecision[],
  found: readonly UpkeepDecision[],
): TrustedDecisions {
  const hosts = findHosts(snapshot, new Set([...sweep, ...found].flatMap((one) => settledHost(one) ?? [])))
  const budget = new EndingsBudget(snapshot)
  const decisions: UpkeepDecision[] = []
  const held = new Map<string, UpkeepDecision>()
  const settledBySweep = new Set<string>()

  const consider = (decision: UpkeepDecision): void => {
    const hostId = settledHost(decision)
    const host = hostId === undefined ? undefined : hosts.get(hostId)
    const target = involuntaryTarget(decision, host, snapshot)
    if (target === undefined) {
      decisions.push(decision)
    } else if (held.has(target)) {
      return
    } else if ((!isUnremembered(decision) || budget.isConfirmed) && budget.take(target)) {
      decisions.push(decision)
    } else {
      held.set(target, decision)
    }
  }
  for (const decision of sweep) {
    if (!isCurrent(decision, hosts)) continue
    const before = decisions.length
    consider(decision)
    const hostId = settledHost(decision)
    if (decisions.length > before && hostId !== undefined) settledBySweep.add(hostId)
  }
  for (const decision of found) {
    if (!('hostId' in decision && settledBySweep.has(decision.hostId))) consider(decision)
  }
  return {
    decisions,
    held: [...held.values()],
    said: sayHeld(snapshot, [...held]),
    endings: budget.endings,
    freesAt: [...held.values()].every(isUnremembered) ? undefined : budget.freesAt,
  }
}

/** The sweep looked a moment ago: what concerns rows that have moved on since is dropped. */
function isCurrent(decision: UpkeepDecision, hosts: ReadonlyMap<string, HostView>): boolean {
  const id = settledHost(decision)
  if (id === undefined) return true
  const host = hosts.get(id)
  return host !== undefined && (decision.kind !== 'host-gone' || host.status !== 'TERMINATING')
}

function isUnremembered(decision: UpkeepDecision): boolean {
  return decision.kind === 'clear-orphan' && decision.isFromBefore === true
}

/** Bears no clock: what is unchanged reads the same in every turn. */
function sayHeld(
  { region }: RegionSnapshot,
  held: readonly (readonly [target: string, decision: UpkeepDecision])[],
): TrustedDecisions['said'] {
  if (held.length === 0) return []
  const { percent, at_least: atLeast, window } = region.blastRadius
  const unremembered = held.filter(([, decision]) => isUnremembered(decision)).length
  const why = [
    held.length > unremembered &&
      `findings may end ${percent} % of a region’s hosts, and at least ${atLeast}, in ${window} s`,
    unremembered > 0 &&
      `${unremembered} machines are older than all rows of hosts, which the database may have lost`,
  ]
  const summary: RefuseDecision = {
    kind: 'refuse',
    target: region.id,
    reason:
      `blast radius: ${held.length} endings are held back: ${why.filter((part) => part !== false).join('; ')}. ` +
      `See npx muster sweep --region ${region.id} --dry-run; with --confirm they go on`,
  }
  const named = held.slice(0, namedAtMost).map(([target, decision]): ReportDecision | RefuseDecision => {
    const reason = `held back by the blast radius: ${decision.reason}`
    return 'hostId' in decision
      ? { kind: 'report', hostId: decision.hostId, reason }
      : { kind: 'refuse', target, reason }
  })
  return [summary, ...named]
}
