/** What `npx muster backup` and `npx muster restore` do. */
import { Readable, Transform } from 'node:stream'

import type { Clock } from '../../lib/clock.ts'
import type { Logger } from '../../lib/logger.ts'
import { MusterError } from '../../model/errors.ts'
import { fillDataDirectory, holdsDatabase } from '../database/pglite/data-directory.ts'
import { openPgliteDatabase } from '../database/pglite/pglite-database.ts'
import { backupPath } from '../server/backup-route.ts'
import { packBackup, unpackBackup } from './archive.ts'
import { checkBackupFile, writeBackupFile } from './backup-file.ts'

interface Common {
  readonly file: string
  /** Of the embedded database. */
  readonly dataDir: string
  readonly clock: Clock
  readonly logger: Logger
  /** How many bytes of the file have been written or read. */
  readonly progress: (bytes: number) => void
  readonly signal: AbortSignal
}

export interface BackupOptions extends Common {
  readonly mayReplace: boolean
  /** Whom to ask when the directory is in use: `http://host:port` of the endpoint that serves it. */
  readonly endpoint: string
  readonly adminSecret: string
}

/**
 * Backs up the database of a directory: by itself when nobody uses it, else through the endpoint that does.
 * @throws MusterError `invalid-request`, `data-directory-locked`, `data-directory-unusable`, `unavailable`
 */
export async function backUp(options: BackupOptions): Promise<void> {
  const { file, dataDir, mayReplace, signal } = options
  await checkBackupFile(file, mayReplace)
  if (!(await holdsDatabase(dataDir))) {
    throw new MusterError('data-directory-unusable', `there is no database in ${dataDir} to back up`)
  }
  const source = await openOrAsk(options)
  try {
    await writeBackupFile(source.bytes, file, mayReplace, counting(options.progress), signal)
  } finally {
    await source.close()
  }
}

/** @throws MusterError `invalid-request`, `data-directory-locked`, `data-directory-unusable` */
export async function restore({ file, dataDir, clock, progress, signal }: Common): Promise<void> {
  await fillDataDirectory(dataDir, clock, (folder) => unpackBackup(file, folder, counting(progress), signal))
}

interface Source {
  readonly bytes: Readable
  close(): Promise<void>
}

async function openOrAsk(options: BackupOptions): Promise<Source> {
  try {
    const database = await openPgliteDatabase(options)
    try {
      return { bytes: await packBackup(database), close: () => database.close() }
    } catch (error) {
      await database.close()
      throw error
    }
  } catch (error) {
    if (!(error instanceof MusterError && error.code === 'data-directory-locked')) throw error
    return { bytes: await askEndpoint(options, error), close: () => Promise.resolve() }
  }
}

async function askEndpoint(options: BackupOptions, locked: MusterError): Promise<Readable> {
  const url = new URL(backupPath, options.endpoint)
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'x-hasura-admin-secret': options.adminSecret },
    signal: options.signal,
  }).catch((error: unknown) => {
    options.signal.throwIfAborted()
    const words = `${locked.message}; or, if it is an endpoint, name it with --endpoint: none answers at ${url.origin}`
    throw new MusterError('unavailable', words, { cause: error })
  })
  const { body } = response
  if (!response.ok || body === null || response.headers.get('content-type') !== 'application/gzip') {
    const words = (await response.text()).slice(0, 500)
    throw new MusterError('unavailable', `${url.href} makes no backup (HTTP ${response.status}): ${words}`)
  }
  return Readable.fromWeb(body)
}

/** Passes bytes on and tells how many there have been. */
function counting(progress: (bytes: number) => void): Transform {
  let bytes = 0
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length
      progress(bytes)
      done(undefined, chunk)
    },
  })
}
