/**
 * PostgreSQL inside this process (PGlite), for one machine and no setup. It survives a crash of the process, but not of
 * the machine: it never asks the disk to keep what it wrote.
 */
import { rm } from 'node:fs/promises'

import type { Clock } from '../../../lib/clock.ts'
import type { Logger } from '../../../lib/logger.ts'
import { MusterError } from '../../../model/errors.ts'
import type { Database, Transaction } from '../database.ts'
import { openDataDirectory } from './data-directory.ts'
import { copyDatabaseFiles } from './file-copy.ts'
import { createTurns } from './turns.ts'
import { startUpkeep } from './upkeep.ts'
import type { WorkerClient } from './worker-client.ts'
import { startWorker } from './worker-client.ts'
import { keepWorker } from './worker-keeper.ts'

export interface PgliteOptions {
  /** Made when it is absent; `postgres/` in it holds the database, `muster.lock` its holder. */
  readonly dataDir: string
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws MusterError `data-directory-locked`, `data-directory-unusable` */
export async function openPgliteDatabase(options: PgliteOptions): Promise<Database> {
  const directory = await openDataDirectory(options.dataDir, options.clock, options.logger)
  try {
    const settings = { directory: directory.databasePath, isInit: false }
    const keeper = await keepWorker((notified) => startWorker(settings, notified), options.logger)
    const turns = createTurns()
    // Statements of others need not wait for one another, the thread answers in order: only for a transaction.
    const between: Transaction = {
      query: (sql, parameters) =>
        turns.shared(async () => sessionOn(await keeper.current()).query(sql, parameters)),
      script: (sql) => turns.shared(async () => sessionOn(await keeper.current()).script(sql)),
    }
    const upkeep = startUpkeep(between, options.clock, options.logger)
    const { databasePath, copyPath } = directory
    let hasCopy = false
    return {
      kind: 'pglite',
      concurrency: 1,
      query: (sql, parameters) => {
        upkeep.noteStatement()
        return between.query(sql, parameters)
      },
      transaction: (run) =>
        turns.exclusive(async () => {
          upkeep.noteStatement()
          const session = sessionOn(await keeper.current())
          await session.script('begin')
          try {
            const result = await run(session)
            await session.script('commit')
            return result
          } catch (error) {
            await session.script('rollback').catch(() => undefined)
            throw error
          }
        }),
      listen: async (channel, callback) => {
        const unlisten = await turns.shared(() => keeper.listen(channel, callback))
        return () => turns.shared(unlisten)
      },
      copyFiles: async () => {
        if (hasCopy) throw new MusterError('conflict', 'another backup of this database is under way')
        hasCopy = true
        let removed: Promise<void> | undefined
        const remove = (): Promise<void> =>
          (removed ??= rm(copyPath, { recursive: true, force: true }).finally(() => (hasCopy = false)))
        try {
          await turns.exclusive(async () => {
            await copyDatabaseFiles(sessionOn(await keeper.current()), databasePath, copyPath)
          })
          return { directory: copyPath, remove }
        } catch (error) {
          await remove()
          throw error
        }
      },
      close: async () => {
        try {
          await upkeep.stop()
        } finally {
          await keeper.close()
          await directory.release()
        }
      },
    }
  } catch (error) {
    await directory.release()
    throw error
  }
}

const sessionOn = (worker: WorkerClient): Transaction => ({
  query: (sql, parameters = []) => worker.call({ kind: 'query', sql, parameters }),
  script: async (sql) => {
    await worker.call({ kind: 'script', sql })
  },
})
