/** The first words with the database: is it there, is it ours, is it new? */
import { readSeed } from '../config/seed.ts'
import type { HasuraClient } from './hasura/client.ts'
import { seedOnce } from './hasura/seeding.ts'
import type { Clock } from './lib/clock.ts'
import type { Health } from './lib/health.ts'
import type { Logger } from './lib/logger.ts'
import { MusterError } from './model/errors.ts'
import type { FleetStore } from './store/fleet-store.ts'

export interface BootOptions {
  readonly store: FleetStore
  readonly client: HasuraClient
  /** YAML of regions for a new database. */
  readonly seedFile: string | undefined
  readonly health: Health
  readonly clock: Clock
  readonly logger: Logger
  readonly stopping: AbortSignal
}

const retryMs = 1_000
/** A secret that was refused is refused again, unless somebody mends it at the other end. */
const deniedRetryMs = 30_000

/**
 * Wait for a database with our schema, then seed it if it is new; gives the fleet's id. A schema that is missing or
 * older is said in `/readyz` and looked for again: an operator may be about to apply it.
 *
 * @throws MusterError `config-invalid` when the seed file is wrong
 */
export async function untilUsable(options: BootOptions): Promise<string> {
  const { store, client, seedFile, health, clock, logger, stopping } = options
  while (!stopping.aborted) {
    try {
      await store.checkSchema()
      if (seedFile !== undefined && (await seedOnce(client, readSeed(seedFile)))) {
        logger.info({ seedFile }, 'seeded')
      }
      return await store.fleetId()
    } catch (error) {
      if (!(error instanceof MusterError) || error.code === 'config-invalid') throw error
      if (health.cause?.includes(error.message) !== true) logger.error({ err: error }, 'not ready')
      health.set('start', error.message)
      await clock
        .sleep(error.code === 'database-denied' ? deniedRetryMs : retryMs, stopping)
        .catch(() => undefined)
    }
  }
  return ''
}
