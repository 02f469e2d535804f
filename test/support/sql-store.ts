import { imageRow, regionRow } from '../../src/hasura/region-rows.ts'
import { agentRow, hostRow } from '../../src/hasura/rows.ts'
import { MusterError } from '../../src/model/errors.ts'
import type { FleetStore } from '../../src/store/fleet-store.ts'
import type { FleetDatabase } from './fleet-database.ts'

type LinkStore = Pick<
  FleetStore,
  'registerHost' | 'reportAgents' | 'reportInterruption' | 'flushHeartbeats' | 'readHost' | 'readRegion'
>

/** What the managers' streams need of a store, in plain SQL, with a switch that takes the database away. */
export class SqlStore implements LinkStore {
  readonly #fleet: FleetDatabase
  isAway = false

  constructor(fleet: FleetDatabase) {
    this.#fleet = fleet
  }

  async registerHost(hostId: string, address: string, capacity: number, fence: number) {
    const args = [hostId, address, capacity, fence]
    return (await this.#hosts('from fleet.register_host($1, $2, $3, $4) r', args))[0]
  }

  async reportAgents(...[hostId, reports, isFull, fence]: Parameters<FleetStore['reportAgents']>) {
    try {
      const from = 'from fleet.report_agents($1, $2, $3, $4) r'
      const rows = await this.#rows(from, [hostId, JSON.stringify(reports), isFull, fence])
      return rows.map((row) => agentRow.parse(row))
    } catch (error) {
      if (error instanceof MusterError && error.code === 'database-refused') return undefined
      throw error
    }
  }

  async reportInterruption(...[hostId, notice, fence]: Parameters<FleetStore['reportInterruption']>) {
    const { kind, at, action } = notice
    const args = [hostId, kind, new Date(at).toISOString(), action, fence]
    return (await this.#hosts('from fleet.report_interruption($1, $2, $3, $4, $5) r', args))[0]
  }

  async flushHeartbeats(beats: ReadonlyMap<string, number>, fence: number) {
    const byHost = Object.fromEntries([...beats].map(([id, at]) => [id, new Date(at).toISOString()]))
    await this.#rows('from fleet.flush_heartbeats($1, $2) r', [JSON.stringify(byHost), fence])
  }

  async readHost(hostId: string) {
    const [host] = await this.#hosts('from fleet.hosts r where r.id = $1', [hostId])
    return host === undefined ? undefined : { ...host, agents: [] }
  }

  async readRegion(regionId: string) {
    const [region] = await this.#rows('from fleet.regions r where r.id = $1', [regionId])
    const of = `r where r.region_id = $1`
    return {
      region: regionRow.parse(region),
      images: (await this.#rows(`from fleet.images ${of}`, [regionId])).map((row) => imageRow.parse(row)),
      hosts: await this.#hosts(`from fleet.hosts ${of} and r.status <> 'TERMINATED'`, [regionId]),
      agents: (await this.#rows(`from fleet.agents ${of}`, [regionId])).map((row) => agentRow.parse(row)),
      blocked_offerings: [],
      rollouts: [],
      versions: [],
    }
  }

  async #hosts(from: string, params: readonly unknown[]) {
    return (await this.#rows(from, params)).map((row) => hostRow.parse(row))
  }

  async #rows(from: string, params: readonly unknown[]): Promise<readonly unknown[]> {
    if (this.isAway) throw new MusterError('database-unavailable', 'away', { retryable: true })
    try {
      const rows = await this.#fleet.sql(`select to_jsonb(r) as row ${from}`, params)
      return rows.map((row): unknown => row['row'])
    } catch (error) {
      throw new MusterError('database-refused', String(error), { cause: error })
    }
  }
}
