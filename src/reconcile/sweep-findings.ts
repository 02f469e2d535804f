/**
 * The comparison of the cloud's list with the rows, both ways and pure; sweep.ts does the asking. Nothing is believed at
 * one look, but that a machine belongs to an unbound row of its launch:
 *
 *   a machine, its launch has unbound rows          bound to one at once
 *   a machine, its row has ended or there is none   ended, once every look for `graceMs` saw it so
 *   a row, its machine is missing                   closed, once two looks `missingMs` apart and all between missed it;
 *                                                   never while its manager is connected
 *   a row without a machine, its launch has ended   closed in the same way
 *   a row that nothing will ever move               ended, once every look for `graceMs` saw it so
 *
 * Whatever belongs to a launch that is still open is left to that launch. The time between looks is the daemon's own:
 * a cloud's clock may be wrong.
 */
import { launchOf } from '../model/action.ts'
import type { UpkeepDecision } from '../model/decision.ts'
import type { CloudHost } from '../model/host-handler.ts'
import type { SweepHost, SweepRows } from '../model/sweep.ts'

/** Each fault that was seen, and since when, in milliseconds since the epoch; for the next look to confirm. */
export type SweepMemory = ReadonlyMap<string, number>
export const noMemory: SweepMemory = new Map()

export interface SweepInput {
  /** When the list was asked for and when its last page had come, in milliseconds since the epoch. */
  readonly look: { readonly startedAt: number; readonly endedAt: number }
  /** How long a machine must have been without a row, or a row stuck. */
  readonly graceMs: number
  /** How far apart two looks must be that both miss a machine. */
  readonly missingMs: number
  readonly rows: SweepRows
  /** Of this fleet. */
  readonly machines: readonly CloudHost[]
  /** false: the list says nothing of who is there. */
  readonly listsMachines: boolean
  readonly isConnected: (hostId: string) => boolean
  readonly memory: SweepMemory
}

export interface Adoption {
  readonly launchId: string
  /** Sorted; never more than the launch has unbound rows. */
  readonly cloudIds: readonly string[]
}

export interface SweepResult {
  readonly adoptions: readonly Adoption[]
  readonly decisions: readonly UpkeepDecision[]
  /** What is not certain yet, and when it is if it is seen again. */
  readonly waiting: readonly { readonly decision: UpkeepDecision; readonly dueAt: number }[]
  readonly memory: SweepMemory
  /** Hosts whose managers are connected though the list misses their machines: the list is wrong. */
  readonly contradictions: readonly string[]
}

/** How far the cloud's and the database's clocks may be apart, and how late a fresh machine may come into a list. */
const slackMs = 60_000

export function sweepFindings(input: SweepInput): SweepResult {
  const { rows, listsMachines, isConnected } = input
  const standing = rows.hosts.filter((host) => host.status !== 'TERMINATED')
  const openLaunches = new Set(
    rows.openActions.flatMap(({ kind, id }) => (kind === 'launch' ? launchOf(id).launchId : [])),
  )
  const judge = new Judge(input)

  // A list may show a machine twice when one ends between two of its pages.
  const machines = new Map(input.machines.map((machine) => [machine.cloudId, machine]))
  const bound = new Set(standing.flatMap((host) => host.cloudId ?? []))
  const unbound = [...machines.values()].filter(
    (machine) => !bound.has(machine.cloudId) && !openLaunches.has(machine.launchId),
  )
  const { adoptions, strangers } = adopt(unbound, standing, rows)
  judgeStrangers(strangers, rows, judge)

  const isMissing = (host: SweepHost): boolean =>
    listsMachines && host.cloudId !== null && !machines.has(host.cloudId)
  const connected = standing.filter(
    // A machine that is younger than the list cannot be in it.
    (host) =>
      host.cloudId !== null && host.createdAt < input.look.startedAt - slackMs && isConnected(host.id),
  )
  const contradictions = connected.filter(isMissing).map((host) => host.id)
  const isCorroborated = connected.length > contradictions.length && contradictions.length === 0

  const openTerminations = targetsOf(rows, 'terminate')
  const adoptedLaunches = new Set(adoptions.map((adoption) => adoption.launchId))
  for (const host of standing) {
    if (host.status === 'TERMINATING') {
      judgeEnding(host, openTerminations.has(host.id), listsMachines && !isMissing(host), judge)
    } else if (host.launchId !== null && openLaunches.has(host.launchId)) {
      continue
    } else if (host.cloudId !== null) {
      if (!isMissing(host) || isConnected(host.id)) continue
      const reason = 'the provider no longer has its machine'
      const proof = isCorroborated ? { isProven: true } : {}
      judge.missing(`gone ${host.id}`, { kind: 'host-gone', hostId: host.id, reason, ...proof })
    } else if (host.launchId !== null) {
      if (adoptedLaunches.has(host.launchId)) continue
      const reason = 'its launch has ended without a machine for it'
      judge.missing(`unlaunched ${host.id}`, { kind: 'host-gone', hostId: host.id, reason })
    } else if (host.status === 'LAUNCHING') {
      const reason = 'it is LAUNCHING, and belongs to no launch'
      judge.lasting(`unlaunched ${host.id}`, { kind: 'host-gone', hostId: host.id, reason })
    }
  }
  return { adoptions, ...judge.result(), contradictions }
}

/** Says what is certain and what must be seen again. */
class Judge {
  readonly #input: SweepInput
  readonly #memory = new Map<string, number>()
  readonly #decisions: UpkeepDecision[] = []
  readonly #waiting: { readonly decision: UpkeepDecision; readonly dueAt: number }[] = []

  constructor(input: SweepInput) {
    this.#input = input
  }

  readonly missing = (fault: string, decision: UpkeepDecision): void =>
    this.#see(fault, this.#input.missingMs, decision)

  readonly lasting = (fault: string, decision: UpkeepDecision): void =>
    this.#see(fault, this.#input.graceMs, decision)

  result(): Pick<SweepResult, 'decisions' | 'waiting' | 'memory'> {
    return { decisions: this.#decisions, waiting: this.#waiting, memory: this.#memory }
  }

  /** From the end of the first look to the start of this one. */
  #see(fault: string, forMs: number, decision: UpkeepDecision): void {
    const { look, memory } = this.#input
    const since = memory.get(fault)
    this.#memory.set(fault, since ?? look.endedAt)
    if (since !== undefined && look.startedAt - since >= forMs) this.#decisions.push(decision)
    else this.#waiting.push({ decision, dueAt: (since ?? look.endedAt) + forMs })
  }
}

function judgeStrangers(strangers: readonly CloudHost[], rows: SweepRows, judge: Judge): void {
  const openClearings = targetsOf(rows, 'clear-orphan')
  const named = new Map(rows.named.map((row) => [row.cloudId, row]))
  const launches = new Set(rows.launches)
  const oldest = rows.oldestRowAt ?? Infinity
  for (const { cloudId, launchId, startedAt } of strangers) {
    if (openClearings.has(cloudId)) continue
    const row = named.get(cloudId)
    const machine = `the provider has this machine of launch ${launchId}`
    const reason =
      row === undefined
        ? `${machine}, and no row stands for it`
        : `${machine}, whose host ${row.id} has ended`
    const isSurplus = row === undefined && launches.has(launchId)
    const isFromBefore = row === undefined && !isSurplus && startedAt < oldest - slackMs
    judge.lasting(`orphan ${cloudId}`, {
      ...{ kind: 'clear-orphan', cloudId, reason },
      ...(isSurplus ? { isSurplus } : {}),
      ...(isFromBefore ? { isFromBefore } : {}),
    })
  }
}

/** Of a row that is TERMINATING: that something ends it, and that it ends. */
function judgeEnding(host: SweepHost, isBeingEnded: boolean, isListed: boolean, judge: Judge): void {
  const { id: hostId } = host
  if (!isBeingEnded) {
    // Somebody set the status by hand: nothing would ever end the machine.
    const reason = 'it is TERMINATING and nothing ends it'
    judge.lasting(`unended ${hostId}`, { kind: 'terminate', hostId, reason })
  } else if (isListed) {
    const reason = 'its end was asked for again and again, and the provider still has its machine'
    judge.lasting(`ending ${hostId}`, { kind: 'report', hostId, reason })
  }
}

function targetsOf(rows: SweepRows, kind: string): ReadonlySet<string> {
  return new Set(rows.openActions.flatMap((action) => (action.kind === kind ? (action.target ?? []) : [])))
}

/**
 * Gives each launch's unbound rows its unbound machines, in order of id; a machine beyond its rows is a stranger, and
 * so is one that a row has had. One that another region's row has is neither.
 */
function adopt(
  machines: readonly CloudHost[],
  hosts: readonly SweepHost[],
  rows: SweepRows,
): { readonly adoptions: readonly Adoption[]; readonly strangers: readonly CloudHost[] } {
  const named = new Map(rows.named.map((row) => [row.cloudId, row]))
  const seats = new Map<string, number>()
  for (const { cloudId, launchId } of hosts) {
    if (cloudId === null && launchId !== null) seats.set(launchId, (seats.get(launchId) ?? 0) + 1)
  }
  const adopted = new Map<string, string[]>()
  const strangers: CloudHost[] = []
  const ordered = machines.toSorted((one, other) => (one.cloudId < other.cloudId ? -1 : 1))
  for (const machine of ordered) {
    const row = named.get(machine.cloudId)
    const left = seats.get(machine.launchId) ?? 0
    if (row !== undefined || left === 0) {
      if (row === undefined || row.status === 'TERMINATED') strangers.push(machine)
      continue
    }
    seats.set(machine.launchId, left - 1)
    const ids = adopted.get(machine.launchId)
    if (ids === undefined) adopted.set(machine.launchId, [machine.cloudId])
    else ids.push(machine.cloudId)
  }
  return {
    adoptions: Array.from(adopted, ([launchId, cloudIds]) => ({ launchId, cloudIds })),
    strangers,
  }
}
