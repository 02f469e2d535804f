/**
 * A backup is one file: the database's files as of one moment, packed by tar and gzip under `postgres/`. `tar xzf` into
 * an empty data directory restores it too.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline, Transform } from 'node:stream'
import { pipeline as pipelineDone } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'

import { packTar, unpackTar } from 'modern-tar/fs'

import { MusterError } from '../../model/errors.ts'
import type { Database } from '../database/database.ts'

const root = 'postgres'

/**
 * The backup's bytes; an error of the stream means that they are not whole.
 * @throws MusterError `conflict` while another backup is made; `invalid-request` where the database is a server's
 */
export async function packBackup(database: Database): Promise<Readable> {
  if (database.copyFiles === undefined) throw new MusterError('invalid-request', useServersTools)
  const copy = await database.copyFiles()
  const files = packTar([{ type: 'directory', source: copy.directory, target: root }])
  const last = new Transform({
    transform: (chunk, _encoding, done) => done(undefined, chunk),
    // Whoever has the last byte may ask for the next backup.
    flush: (done) => {
      copy.remove().then(() => done(), done)
    },
  })
  return pipeline(files, createGzip(), last, () => {
    copy.remove().catch(() => undefined)
  })
}

/** What a server's database is backed up with. */
export const useServersTools =
  'the database is a PostgreSQL server: back it up with its own tools, such as pg_dump --format=custom --file=FILE "$DATABASE_URL"'

/**
 * Puts a backup's files into a folder. `counted` sees the file's bytes on their way.
 * @throws MusterError `invalid-request` for a file that is no backup, or not a whole one
 */
export async function unpackBackup(
  file: string,
  folder: string,
  counted: Transform,
  signal: AbortSignal,
): Promise<void> {
  const unpacked = unpackTar(folder, {
    strip: 1,
    // A database holds nothing else, and a link could lead elsewhere.
    filter: ({ type }) => type === 'file' || type === 'directory',
    fmode: 0o600,
    dmode: 0o700,
  })
  try {
    await pipelineDone(createReadStream(file), counted, createGunzip(), unpacked, { signal })
    await stat(join(folder, 'PG_VERSION'))
  } catch (error) {
    signal.throwIfAborted()
    const reason = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid-request', `${file} is no whole backup: ${reason}`, { cause: error })
  }
}
