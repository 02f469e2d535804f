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
import type { DirectoryLock } from './directory-lock.ts'
import { lockDirectory } from './directory-lock.ts'
import { startWorker } from './worker-client.ts'

export interface DataDirectory {
  /** PostgreSQL's own files. */
  readonly databasePath: string
  /** Where a copy of them may be made; nothing is there yet. */
  readonly copyPath: string
  release(): Promise<void>
}

/** @throws MusterError `data-directory-locked`, `data-directory-unusable` */
export async function openDataDirectory(
  dataDir: string,
  clock: Clock,
  logger: Logger,
): Promise<DataDirectory> {
  return await withLock(dataDir, clock, async (directory, lock) => {
    const databasePath = join(directory, 'postgres')
    const copyPath = join(directory, 'postgres.copy')
    // Of a backup that a crash has cut short.
    await rm(copyPath, { recursive: true, force: true })
    if (!(await exists(databasePath))) await initialise(directory, databasePath, logger)
    return { databasePath, copyPath, release: () => lock.release() }
  })
}

/**
 * A directory without a database gets the one whose files `fill` puts into the folder it is given: all of it, or
 * nothing. @throws MusterError `data-directory-locked`; `data-directory-unusable` when there is a database, or the new
 * one does not start; whatever `fill` throws
 */
export async function fillDataDirectory(
  dataDir: string,
  clock: Clock,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await withLock(dataDir, clock, async (directory, lock) => {
    const databasePath = join(directory, 'postgres')
    if (await exists(databasePath)) {
      const words = `the data directory ${directory} holds a database already: move it away, or choose another directory`
      throw new MusterError('data-directory-unusable', words)
    }
    const draft = await emptyDraft(directory)
    try {
      await fill(draft)
      const worker = await startWorker({ directory: draft, isInit: false })
      await worker.close()
      await rename(draft, databasePath)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
    await lock.release()
  })
}

/** Whether there is a database to be opened, rather than one to be made. */
export const holdsDatabase = (dataDir: string): Promise<boolean> => exists(join(resolve(dataDir), 'postgres'))

/** The lock is `work`'s to release, unless it throws. */
async function withLock<T>(
  dataDir: string,
  clock: Clock,
  work: (directory: string, lock: DirectoryLock) => Promise<T>,
): Promise<T> {
  const directory = resolve(dataDir)
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const lock = await lockDirectory(directory, clock)
    try {
      return await work(directory, lock)
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

async function emptyDraft(directory: string): Promise<string> {
  const draft = join(directory, 'postgres.new')
  await rm(draft, { recursive: true, force: true })
  return draft
}

async function initialise(directory: string, databasePath: string, logger: Logger): Promise<void> {
  const draft = await emptyDraft(directory)
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
