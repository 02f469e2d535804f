/**
 * PostgreSQL inside this process (PGlite), for one machine and no setup. It survives a crash of the process, but not of
 * the machine: it never asks the disk to keep what it wrote.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Logger } from '../../../lib/logger.ts'
import type { Database, Transaction } from '../database.ts'
import { openDataDirectory } from './data-directory.ts'
import { createTurns } from './turns.ts'
import { startUpkeep } from './upkeep.ts'
import { startWorker } from './worker-client.ts'

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
    const worker = await startWorker({ directory: directory.databasePath, isInit: false })
    const turns = createTurns()
    const session: Transaction = {
      query: (sql, parameters = []) => worker.call({ kind: 'query', sql, parameters }),
      script: async (sql) => {
        await worker.call({ kind: 'script', sql })
      },
    }
    // The thread answers in order, so statements of others need not wait for one another: only for a transaction.
    const between: Transaction = {
      query: (sql, parameters) => turns.shared(() => session.query(sql, parameters)),
      script: (sql) => turns.shared(() => session.script(sql)),
    }
    const upkeep = startUpkeep(between, options.clock, options.logger)
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
        const unsubscribe = worker.onNotification(channel, callback)
        await turns.shared(() => worker.call({ kind: 'listen', channel }))
        return async () => {
          if (unsubscribe() > 0) return
          await turns.shared(() => worker.call({ kind: 'unlisten', channel })).catch(() => undefined)
        }
      },
      close: async () => {
        try {
          await upkeep.stop()
          await worker.close()
        } finally {
          await directory.release()
        }
      },
    }
  } catch (error) {
    await directory.release()
    throw error
  }
}
