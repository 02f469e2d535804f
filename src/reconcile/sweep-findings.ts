/**
 * The comparison of the cloud's list with the rows, both ways and pure; sweep.ts does the asking. Only machines that
 * bear this fleet's tag come in. Binding a machine to its row is harmless and done at once; whatever ends a machine or
 * a row needs two looks and an age beyond the grace time, since either side may be a moment behind the other.
 */
import { launchOf } from '../model/action.ts'
import type { Action } from '../model/action.ts'
import type { ClearOrphanDecision, HostGoneDecision, TerminateDecision } from '../model/decision.ts'
import type { CloudHost } from '../model/host-handler.ts'
import type { Host } from '../model/host.ts'

/** What looked wrong at the last look, for the next one to confirm. */
export type SweepSuspects = ReadonlySet<string>
export const noSuspects: SweepSuspects = new Set()

export interface SweepInput {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** How old a machine or a row must be before it is ended. */
  readonly graceMs: number
  /** The region's rows, read after the list; those that are TERMINATED may be missing. */
  readonly hosts: readonly Host[]
  readonly machines: readonly CloudHost[]
  /** false: the list says nothing of who is there. */
  readonly listsMachines: boolean
  readonly openActions: readonly Pick<Action, 'id' | 'kind' | 'target'>[]
  readonly suspects: SweepSuspects
}

interface Adoption {
  readonly launchId: string
  /** Sorted; never more than the launch has unbound rows. */
  readonly cloudIds: readonly string[]
}

export interface SweepResult {
  readonly adoptions: readonly Adoption[]
  readonly decisions: readonly (HostGoneDecision | ClearOrphanDecision | TerminateDecision)[]
  readonly suspects: SweepSuspects
}

export function sweepFindings(input: SweepInput): SweepResult {
  const { now, graceMs, hosts, machines, listsMachines, openActions } = input
  const openLaunches = new Set(
    openActions.flatMap(({ kind, id }) => (kind === 'launch' ? launchOf(id).launchId : [])),
  )
  const openTerminations = targetsOf(openActions, 'terminate')
  const openClearings = targetsOf(openActions, 'clear-orphan')
  const suspects = new Set<string>()
  const decisions: SweepResult['decisions'][number][] = []
  /** Whether a fault was seen before and is old enough; it is remembered either way. */
  const isSure = (fault: string, since: number): boolean => {
    suspects.add(fault)
    return input.suspects.has(fault) && now - since >= graceMs
  }

  const standing = hosts.filter((host) => host.status !== 'TERMINATED')
  const bound = new Set(standing.flatMap((host) => host.cloudId ?? []))
  const unbound = machines.filter(
    (machine) => !bound.has(machine.cloudId) && !openLaunches.has(machine.launchId),
  )
  const { adoptions, strangers } = adopt(unbound, standing)
  for (const machine of strangers) {
    if (openClearings.has(machine.cloudId) || !isSure(`orphan ${machine.cloudId}`, machine.startedAt))
      continue
    const reason = `the provider has this machine of launch ${machine.launchId}, and no row stands for it`
    decisions.push({ kind: 'clear-orphan', cloudId: machine.cloudId, reason })
  }

  const listed = new Set(machines.map((machine) => machine.cloudId))
  const adoptedLaunches = new Set(adoptions.map((adoption) => adoption.launchId))
  for (const host of standing) {
    if (host.status === 'TERMINATING') {
      // Somebody set the status by hand: nothing would ever end the machine.
      if (openTerminations.has(host.id) || !isSure(`unended ${host.id}`, host.statusSince)) continue
      decisions.push({ kind: 'terminate', hostId: host.id, reason: 'it is TERMINATING and nothing ends it' })
    } else if (host.cloudId !== null) {
      if (!listsMachines || listed.has(host.cloudId) || !isSure(`gone ${host.id}`, host.createdAt)) continue
      decisions.push({
        kind: 'host-gone',
        hostId: host.id,
        reason: 'the provider no longer has its machine',
      })
    } else if (host.launchId !== null) {
      if (openLaunches.has(host.launchId) || adoptedLaunches.has(host.launchId)) continue
      if (!isSure(`unlaunched ${host.id}`, host.createdAt)) continue
      decisions.push({
        kind: 'host-gone',
        hostId: host.id,
        reason: 'its launch has ended without a machine for it',
      })
    }
  }
  return { adoptions, decisions, suspects }
}

function targetsOf(actions: SweepInput['openActions'], kind: string): ReadonlySet<string> {
  return new Set(actions.flatMap((action) => (action.kind === kind ? (action.target ?? []) : [])))
}

/** Gives each launch's unbound rows its unbound machines, in order of id; a machine beyond its rows is a stranger. */
function adopt(
  machines: readonly CloudHost[],
  hosts: readonly Host[],
): { readonly adoptions: readonly Adoption[]; readonly strangers: readonly CloudHost[] } {
  const seats = new Map<string, number>()
  for (const { cloudId, launchId } of hosts) {
    if (cloudId === null && launchId !== null) seats.set(launchId, (seats.get(launchId) ?? 0) + 1)
  }
  const adopted = new Map<string, string[]>()
  const strangers: CloudHost[] = []
  const ordered = machines.toSorted((one, other) => (one.cloudId < other.cloudId ? -1 : 1))
  for (const machine of ordered) {
    const left = seats.get(machine.launchId) ?? 0
    if (left === 0) {
      strangers.push(machine)
      continue
    }
    seats.set(machine.launchId, left - 1)
    adopted.set(machine.launchId, [...(adopted.get(machine.launchId) ?? []), machine.cloudId])
  }
  return {
    adoptions: Array.from(adopted, ([launchId, cloudIds]) => ({ launchId, cloudIds })),
    strangers,
  }
}
