/** Regions of any size, as rows. */
import type { BenchDatabase } from './database.ts'

/** Nothing that a benchmark seeds may fall to a deadline while it runs. */
const never = { launch: 1e6, connect: 1e6, heartbeat: 1e6, allocated: 1e6, drain: 1e6 }

export interface FleetShape {
  readonly regionId: string
  /** A name or a module's path. */
  readonly provider: string
  readonly hosts: number
  /** WAITING agents on each host. */
  readonly agentsPerHost: number
  readonly targetFreeAgents: number
  /** Keeps the hosts from being drained. */
  readonly minHosts: number
}

/** ACTIVE hosts `<region>/h<n>` of the ACTIVE image, with WAITING agents `<host>/a<n>`. */
export async function seedFleet(database: BenchDatabase, shape: FleetShape): Promise<void> {
  const { regionId, provider, hosts, agentsPerHost, targetFreeAgents, minHosts } = shape
  await database.sql(
    `insert into fleet.regions (id, provider, deadlines, target_free_agents, min_hosts, max_hosts, agents_per_host)
     values ($1, $2, $3, $4, $5, 1000000, $6)`,
    [regionId, provider, never, targetFreeAgents, minHosts, Math.max(1, agentsPerHost)],
  )
  await database.sql(
    `insert into fleet.images (id, region_id, image_id, version, status) values ($1 || '/image', $1, 'v1', 'v1', 'ACTIVE')`,
    [regionId],
  )
  await database.sql(
    `insert into fleet.hosts (id, region_id, provider, image_id, version, address, capacity, status)
     select $1 || '/h' || n, $1, $2, $1 || '/image', 'v1', '127.0.0.1', $4, 'ACTIVE'
     from generate_series(1, $3::integer) n`,
    [regionId, provider, hosts, agentsPerHost],
  )
  await database.sql(
    `insert into fleet.agents (id, host_id, region_id, port)
     select h.id || '/a' || n, h.id, h.region_id, 4000 from fleet.hosts h, generate_series(1, $2::integer) n
     where h.region_id = $1`,
    [regionId, agentsPerHost],
  )
  for (const table of ['regions', 'images', 'hosts', 'agents', 'assignments']) {
    await database.sql(`vacuum analyze fleet.${table}`)
  }
}
