/** What a look came to, in plain data for people: what is certain, what must be seen again, and what is held back. */
import type { UpkeepDecision } from '../model/decision.ts'
import { targetOf } from '../model/decision.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { SweepFinding, SweepReport, SweepRows } from '../model/sweep.ts'
import type { SweepResult } from './sweep-findings.ts'
import { trustedDecisions } from './trusted-decisions.ts'
import { upkeep } from './upkeep.ts'

export interface SweepReportInput {
  readonly regionId: string
  readonly rows: SweepRows
  readonly machines: number
  readonly result: SweepResult
  /** Undefined: the region has gone meanwhile. */
  readonly snapshot: RegionSnapshot | undefined
}

export function sweepReport({ regionId, rows, machines, result, snapshot }: SweepReportInput): SweepReport {
  const found = snapshot === undefined ? [] : upkeep(snapshot).decisions
  const held = snapshot === undefined ? [] : trustedDecisions(snapshot, result.decisions, found).held
  const heldTargets = new Set(held.map(targetOf))
  const due = result.decisions.filter((decision) => !heldTargets.has(targetOf(decision)))
  return {
    regionId,
    failure: null,
    machines,
    hosts: rows.hosts.length,
    findings: [
      ...result.adoptions.flatMap(({ launchId, cloudIds }) =>
        cloudIds.map((cloudId) => adoption(launchId, cloudId)),
      ),
      ...due.map((decision) => finding(decision, 'due')),
      ...held.map((decision) => finding(decision, 'held')),
      ...result.waiting.map(({ decision, dueAt }) => ({ ...finding(decision, 'waiting'), dueAt })),
    ],
  }
}

function adoption(launchId: string, cloudId: string): SweepFinding {
  const reason = `launch ${launchId} has a row that is not bound to a machine yet`
  return { kind: 'adopt', target: cloudId, reason, state: 'due', dueAt: null }
}

function finding(decision: UpkeepDecision, state: SweepFinding['state']): SweepFinding {
  const { kind } = decision
  // Of all that upkeep decides, only what is held back comes here: endings.
  const shown = kind === 'host-gone' || kind === 'clear-orphan' || kind === 'terminate' ? kind : 'report'
  return { kind: shown, target: targetOf(decision) ?? '', reason: decision.reason, state, dueAt: null }
}
