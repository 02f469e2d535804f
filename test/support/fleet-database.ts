/** A database with the fleet's schema, seen from outside: plain SQL, no daemon, no endpoint. */
import pg from 'pg'
import { inject } from 'vitest'

import { freshDatabase } from './fresh-database.ts'

export interface SeededRegion {
  readonly id: string
  /** Of its ACTIVE image; also its version. */
  readonly imageId: string
}

export interface FleetDatabase {
  readonly url: string
  readonly pool: pg.Pool
  /** One statement on any connection of the pool; gives its rows. */
  sql(text: string, params?: readonly unknown[]): Promise<Row[]>
  /** A connection of one's own, for transactions; ended by `close`. */
  connect(): Promise<pg.Client>
  /** A region with room for everything, and an ACTIVE image `<id>/image` of version `v1`; `columns` override. */
  seedRegion(id?: string, columns?: Readonly<Record<string, unknown>>): Promise<SeededRegion>
  /** Hosts `<prefix>1`…, walked to `status` along legal transitions. */
  seedHosts(ids: readonly string[], columns?: Readonly<Record<string, unknown>>): Promise<void>
  /** WAITING agents `<host>-a1`… on one host; gives their ids. */
  seedAgents(hostId: string, count: number): Promise<readonly string[]>
  /** Take the daemon's lease for an hour; gives its fence. */
  takeLease(holder?: string): Promise<number>
  close(): Promise<void>
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a test's own SQL gives is known to the test
export type Row = Record<string, any>

/** `connections`: the most that the pool opens at once. */
export async function fleetDatabase({ connections = 10 } = {}): Promise<FleetDatabase> {
  const database = await freshDatabase(inject('fleetTemplate'))
  const pool = new pg.Pool({ connectionString: database.url, max: connections })
  // A server that is stopped, or a database that is dropped, breaks idle connections too.
  pool.on('error', () => undefined)
  const clients: pg.Client[] = []
  const sql: FleetDatabase['sql'] = async (text, params = []) =>
    (await pool.query<Row>(text, [...params])).rows

  return {
    url: database.url,
    pool,
    sql,
    connect: async () => {
      const client = new pg.Client({ connectionString: database.url })
      client.on('error', () => undefined)
      await client.connect()
      clients.push(client)
      return client
    },
    seedRegion: async (id = 'local/demo', columns = {}) => {
      const row = { id, provider: id.split('/')[0], max_hosts: 1000, agents_per_host: 2, ...columns }
      await insert(sql, 'regions', row)
      const image = { id: `${id}/image`, region_id: id, image_id: 'v1', version: 'v1', status: 'ACTIVE' }
      await insert(sql, 'images', image)
      return { id, imageId: image.id }
    },
    seedHosts: async (ids, columns = {}) => {
      const region = (columns['region_id'] as string | undefined) ?? 'local/demo'
      for (const id of ids) {
        await insert(sql, 'hosts', {
          id,
          region_id: region,
          provider: region.split('/')[0],
          image_id: `${region}/image`,
          version: 'v1',
          address: '127.0.0.1',
          capacity: 2,
          status: 'ACTIVE',
          ...columns,
        })
      }
    },
    seedAgents: async (hostId, count) => {
      const ids = Array.from({ length: count }, (_, index) => `${hostId}-a${index + 1}`)
      for (const id of ids) {
        await sql(
          `insert into fleet.agents (id, host_id, region_id, port) select $1, id, region_id, 4000 from fleet.hosts where id = $2`,
          [id, hostId],
        )
      }
      return ids
    },
    takeLease: async (holder = 'daemon-1') => {
      const [lease] = await sql('select * from fleet.take_lease($1, 3600)', [holder])
      return lease!['fence'] as number
    },
    close: async () => {
      for (const client of clients) await client.end().catch(() => undefined)
      await pool.end()
      await database.drop()
    },
  }
}

async function insert(
  sql: FleetDatabase['sql'],
  table: string,
  row: Readonly<Record<string, unknown>>,
): Promise<void> {
  const names = Object.keys(row)
  const places = names.map((_, index) => `$${index + 1}`)
  await sql(
    `insert into fleet.${table} (${names.join(', ')}) values (${places.join(', ')})`,
    Object.values(row),
  )
}
