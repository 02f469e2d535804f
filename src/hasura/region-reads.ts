/** What the mirror is filled from, and what people look at. */
import { z } from 'zod'

import { mirroredTables } from '../store/fleet-store.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { HasuraClient } from './client.ts'
import { documents, rowsByKey } from './documents.ts'
import { MusterError } from '../model/errors.ts'
import { parse } from './call-function.ts'
import { blockedOfferingRow, imageRow, regionRow } from './region-rows.ts'
import { rolloutRow, versionRow } from './rollout-rows.ts'
import { agentRow, decisionRow, hostRow } from './rows.ts'

type Reads = Pick<
  FleetStore,
  | 'fleetId'
  | 'checkSchema'
  | 'readRegionIds'
  | 'readRegion'
  | 'readRows'
  | 'readHosts'
  | 'readHost'
  | 'readDecisions'
  | 'readRegions'
>

/** The schema that this version reads and writes; each migration that changes what is read raises it. */
const schemaVersion = 6
const howToMigrate =
  'run: hasura migrate apply && hasura metadata apply --project config/hasura (docs/operations.md)'

const settings = z.object({
  fleet_settings: z.array(z.object({ fleet_id: z.string(), schema_version: z.number() })),
})
const rows = {
  regions: z.array(regionRow).default([]),
  images: z.array(imageRow).default([]),
  hosts: z.array(hostRow).default([]),
  agents: z.array(agentRow).default([]),
  blocked_offerings: z.array(blockedOfferingRow).default([]),
  rollouts: z.array(rolloutRow).default([]),
  versions: z.array(versionRow).default([]),
}

const someRows = z.object(rows)
const regionIds = z.object({ fleet_regions: z.array(z.object({ id: z.string() })) })
const oneHost = z.object({ host: z.unknown() })
const someDecisions = z.object({ decisions: z.array(decisionRow) })

export function createReads(client: HasuraClient): Reads {
  const readSettings = async () => {
    const answer = parse(settings, await client.request(documents.settings), 'fleet_settings')
    const row = answer.fleet_settings[0]
    if (row === undefined)
      throw new MusterError('schema-outdated', `fleet.settings has no row; ${howToMigrate}`)
    return row
  }
  return {
    fleetId: async () => (await readSettings()).fleet_id,

    checkSchema: async () => {
      try {
        const { schema_version: found } = await readSettings()
        if (found >= schemaVersion) return
        throw new MusterError(
          'schema-outdated',
          `the database has schema version ${found}, this Muster needs ${schemaVersion}; ${howToMigrate}`,
        )
      } catch (error) {
        const isMissing =
          error instanceof MusterError &&
          (error.code === 'schema-outdated' || error.code === 'database-refused')
        if (!isMissing || error.message.includes(howToMigrate)) throw error
        throw new MusterError('schema-outdated', `the database has no usable fleet schema; ${howToMigrate}`, {
          cause: error,
        })
      }
    },

    readRegionIds: async () => {
      const answer = await client.request(documents.regionIds)
      return parse(regionIds, answer, 'fleet_regions').fleet_regions.map((region) => region.id)
    },

    readRegion: async (region) => {
      const answer = parse(someRows, await client.request(documents.region, { region }), 'a region')
      const [row] = answer.regions
      return row === undefined ? undefined : { ...answer, region: row }
    },

    readRows: async (ids) => {
      const empty = someRows.parse({})
      const tables = mirroredTables.filter((table) => ids[table]?.length)
      if (tables.length === 0) return empty
      const variables = Object.fromEntries(tables.map((table) => [table, ids[table]]))
      return parse(someRows, await client.request(rowsByKey(tables), variables), 'rows by key')
    },

    readHosts: async ({ includeTerminated }) => {
      const answer = await client.request(documents.hosts, { not: includeTerminated ? [] : ['TERMINATED'] })
      return parse(someRows, answer, 'fleet_hosts').hosts
    },

    readHost: async (id) => {
      const { host } = parse(oneHost, await client.request(documents.host, { id }), 'a host')
      if (host === null) return undefined
      return { ...parse(hostRow, host, 'a host'), agents: parse(someRows, host, 'its agents').agents }
    },

    readDecisions: async ({ region, target, limit }) => {
      const where = {
        ...(region === undefined ? {} : { region_id: { _eq: region } }),
        ...(target === undefined ? {} : { target: { _eq: target } }),
      }
      const answer = await client.request(documents.decisions, { where, limit })
      return parse(someDecisions, answer, 'fleet_decisions').decisions
    },

    readRegions: async () => {
      const answer = await client.request(documents.regions)
      return parse(someRows, answer, 'fleet_regions').regions
    },
  }
}
