/** The fleet's rows for a command that only looks, whether or not a daemon runs. */
import type { Config } from '../../config/load.ts'
import { holdsDatabase } from '../embedded/database/pglite/data-directory.ts'
import { createHasuraClient } from '../hasura/client.ts'
import { createHasuraStore } from '../hasura/hasura-store.ts'
import { systemClock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { startEndpoint } from './endpoint.ts'

export interface Reading {
  readonly store: Pick<FleetStore, 'fleetId' | 'readRegionIds' | 'readRegion'>
  close(): Promise<void>
}

/**
 * Opens the database as it is: nothing is made, migrated or written. A built-in one that a daemon has open is read
 * through that daemon.
 * @throws MusterError that says what to do
 */
export async function openForReading(config: Config, logger: Logger): Promise<Reading> {
  const { database, adminSecret } = config
  if (database.kind === 'pglite' && !(await holdsDatabase(database.dataDir))) {
    throw new MusterError(
      'data-directory-unusable',
      `there is no database in ${database.dataDir} yet, so there are no regions: start the daemon once (make run)`,
    )
  }
  const endpoint = await startEndpoint(config, logger, { isReadOnly: true }).catch((error: unknown) => {
    if (error instanceof MusterError && error.code === 'data-directory-locked') return viaDaemon(config)
    throw error
  })
  try {
    const client = createHasuraClient({ url: endpoint.url, fetch: endpoint.fetch, adminSecret })
    const store = createHasuraStore(client, () => systemClock.now())
    await store.checkSchema()
    return { store, close: () => endpoint.stop() }
  } catch (error) {
    await endpoint.stop()
    throw error
  }
}

function viaDaemon({ settings: { MUSTER_GRAPHQL_PORT: port } }: Config): {
  url: string
  fetch?: typeof fetch
  stop: () => Promise<void>
} {
  if (port !== 0) return { url: `http://127.0.0.1:${port}/v1/graphql`, stop: () => Promise.resolve() }
  throw new MusterError(
    'data-directory-locked',
    'a daemon has the built-in database open, at a port that only it knows: set MUSTER_GRAPHQL_PORT to it, or stop the daemon',
  )
}
