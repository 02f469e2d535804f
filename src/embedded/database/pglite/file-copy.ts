/**
 * PostgreSQL's files as of one moment: after a checkpoint, while no statement runs. PGlite's own `dumpDataDir` would
 * hold the whole database in memory, several times over, and every statement until the last byte is compressed.
 */
import { constants } from 'node:fs'
import { cp } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

import type { Transaction } from '../database.ts'

const newestLog = `select redo_wal_file, pg_walfile_name(pg_current_wal_insert_lsn()) from pg_control_checkpoint()`
const isLogSegment = /^[0-9A-F]{24}$/

/** `session` must be the caller's alone until this is done. `to` must not exist. */
export async function copyDatabaseFiles(session: Transaction, from: string, to: string): Promise<void> {
  await session.script('checkpoint')
  const [row] = await session.query(newestLog)
  const [oldestNeeded, newest] = [row?.[0] ?? '', row?.[1] ?? '']
  await cp(from, to, {
    recursive: true,
    // Where the file system can share blocks, nothing is copied at all.
    mode: constants.COPYFILE_FICLONE,
    filter: (source) => {
      const name = basename(source)
      if (basename(dirname(source)) !== 'pg_wal' || !isLogSegment.test(name)) return true
      // Segments behind the checkpoint are done with; those ahead are empty ones kept for use.
      return name >= oldestNeeded && name <= newest
    },
  })
}
