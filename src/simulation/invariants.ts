/** What must hold at every moment of a simulated world, and what must hold once it has been calm for long enough. */
import { launchOf } from '../model/action.ts'
import type { HostRow } from '../store/memory/rows.ts'
import type { MemoryDatabase } from '../store/memory/memory-database.ts'
import type { SimulatedMachine } from './manager.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
}

export interface InvariantsOptions {
  readonly db: MemoryDatabase
  readonly machines: () => readonly SimulatedMachine[]
  /** Whether the provider gives the same machines for the same token: then there is never one too many. */
  readonly keepsTokens: boolean
}

export class Invariants {
  readonly #options: InvariantsOptions
  #found: Violation | undefined

  constructor(options: InvariantsOptions) {
    this.#options = options
    options.db.onChanges(() => this.#checkRows())
  }

  /** @throws Violation what was found until now */
  check(): void {
    if (this.#found !== undefined) throw this.#found
  }

  /** Machines may have been made. */
  checkMachines(): void {
    if (this.#options.keepsTokens) this.#countMachines()
  }

  /** What the daemon is about to end. */
  terminating(cloudIds: readonly string[]): void {
    for (const cloudId of cloudIds) {
      const host = this.#hosts().find((row) => row.cloudId === cloudId)
      if (host === undefined || host.status === 'TERMINATING' || host.status === 'TERMINATED') continue
      this.#fail(`machine ${cloudId} is ended while its host ${host.id} is ${host.status}`)
    }
  }

  /** What is still to do, in words; undefined: the cloud's list equals the rows, and nothing is under way. */
  unsettled(): string | undefined {
    const { db, machines } = this.#options
    const standing = this.#hosts().filter((host) => host.status !== 'TERMINATED')
    const moving = standing.find((host) => host.status !== 'ACTIVE')
    if (moving !== undefined) return `host ${moving.id} is ${moving.status}`
    const open = db.actions.values().find(({ status }) => status === 'QUEUED' || status === 'RUNNING')
    if (open !== undefined) return `action ${open.id} (${open.kind}) is ${open.status}`
    const bound = new Set(standing.map((host) => host.cloudId))
    const listed = new Set(machines().map((machine) => machine.cloudId))
    const orphan = [...listed].find((cloudId) => !bound.has(cloudId))
    if (orphan !== undefined) return `no row stands for machine ${orphan}`
    const ghost = [...bound].find((cloudId) => cloudId === null || !listed.has(cloudId))
    return ghost === undefined ? undefined : `there is no machine ${ghost} any more, and its row stands`
  }

  #checkRows(): void {
    const { db } = this.#options
    const standing = new Map<string, number>()
    const bound = new Set<string>()
    for (const host of this.#hosts()) {
      if (host.status !== 'TERMINATED') standing.set(host.regionId, (standing.get(host.regionId) ?? 0) + 1)
      if (host.status === 'TERMINATED' || host.status === 'TERMINATING') this.#checkUnlaunched(host)
      if (host.cloudId === null) continue
      if (bound.has(host.cloudId)) this.#fail(`machine ${host.cloudId} is bound to two rows`)
      bound.add(host.cloudId)
    }
    for (const [regionId, count] of standing) {
      const { maxHosts = 0, maxSurgeHosts = 0 } = db.regions.get(regionId) ?? {}
      if (count > maxHosts + maxSurgeHosts) this.#fail(`${count} hosts stand, and max_hosts is ${maxHosts}`)
    }
  }

  /** A row without a machine may be given up only once its launch has been answered: the machine may yet appear. */
  #checkUnlaunched({ id, status, cloudId, launchId }: HostRow): void {
    if (cloudId !== null || launchId === null) return
    const isAsked = this.#options.db.actions
      .values()
      .some(
        (row) =>
          row.isCalling &&
          (row.status === 'QUEUED' || row.status === 'RUNNING') &&
          launchOf(row.id).launchId === launchId,
      )
    if (isAsked) this.#fail(`host ${id} is ${status} while its launch ${launchId} is unanswered`)
  }

  #countMachines(): void {
    const { db, machines } = this.#options
    const ofLaunch = new Map<string, number>()
    for (const { launchId } of machines()) ofLaunch.set(launchId, (ofLaunch.get(launchId) ?? 0) + 1)
    let all = 0
    for (const [launchId, count] of ofLaunch) {
      all += count
      const rows = this.#hosts().filter((host) => host.launchId === launchId).length
      if (count > rows) this.#fail(`launch ${launchId} of ${rows} hosts has ${count} machines`)
    }
    const most = db.regions.values().reduce((sum, region) => sum + region.maxHosts + region.maxSurgeHosts, 0)
    if (all > most) this.#fail(`there are ${all} machines, and max_hosts is ${most}`)
  }

  #hosts(): readonly HostRow[] {
    return [...this.#options.db.hosts.values()]
  }

  /** Thrown by `check`: who changes a row may catch what is thrown here. */
  #fail(what: string): void {
    this.#found ??= new Violation(what)
  }
}
