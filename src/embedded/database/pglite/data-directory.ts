/**
 * The directory of an embedded database: made, locked and, the first time, filled. The files of a new database are made
 * beside their place and moved there when they are whole, so that a crash while making them leaves nothing behind that
 * looks like a database.
 */
import { access, constants, mkdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { Clock } from '../../../lib/clock.ts'
import type { Logger } from '../../../lib/logger.ts'
import { MusterError } from '../../../model/errors.ts'
import { lockDirectory } from './directory-lock.ts'
import { startWorker } from './worker-client.ts'

export interface DataDirectory {
  /** PostgreSQL's own files. */
  readonly databasePath: string
  release(): Promise<void>
}

/** @throws MusterError `data-directory-locked`, `data-directory-unusable` */
export async function openDataDirectory(
  dataDir: string,
  clock: Clock,
  logger: Logger,
): Promise<DataDirectory> {
  const directory = resolve(dataDir)
  const databasePath = join(directory, 'postgres')
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const lock = await lockDirectory(directory, clock)
    try {
      if (!(await exists(databasePath))) await initialise(directory, databasePath, logger)
      return { databasePath, release: () => lock.release() }
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    if (error instanceof MusterError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new MusterError(
      'data-directory-unusable',
      `the data directory ${directory} cannot be used: ${reason}`,
      {
        cause: error,
      },
    )
  }
}

async function initialise(directory: string, databasePath: string, logger: Logger): Promise<void> {
  const draft = join(directory, 'postgres.new')
  await rm(draft, { recursive: true, force: true })
  const began = performance.now()
  // A thread of its own: making a database takes hundreds of megabytes that serving it does not.
  const worker = await startWorker({ directory: draft, isInit: true })
  await worker.close()
  await rename(draft, databasePath)
  logger.info({ directory, ms: Math.round(performance.now() - began) }, 'made a new embedded database')
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
