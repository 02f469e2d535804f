/** The file that a backup becomes: whole and for its owner alone, or not there. */
import { createWriteStream } from 'node:fs'
import { access, link, open, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { MusterError } from '../../model/errors.ts'

/** Where a file that is there may be replaced. @throws MusterError `invalid-request` when it may not */
export async function checkBackupFile(file: string, mayReplace: boolean): Promise<void> {
  const isThere = await access(file).then(
    () => true,
    () => false,
  )
  if (isThere && !mayReplace) throw existsError(file)
}

/**
 * @throws MusterError `invalid-request` when the file is there and may not be replaced; whatever the stream or the file
 * system throws
 */
export async function writeBackupFile(
  bytes: Readable,
  file: string,
  mayReplace: boolean,
  counted: Transform,
  signal: AbortSignal,
): Promise<void> {
  const draft = `${resolve(file)}.${process.pid}.part`
  try {
    await pipeline(bytes, counted, createWriteStream(draft, { flags: 'wx', mode: 0o600 }), { signal })
    await flush(draft)
    if (mayReplace) await rename(draft, file)
    // Unlike a rename, a link never replaces.
    else await link(draft, file)
  } catch (error) {
    throw isExisting(error) ? existsError(file) : error
  } finally {
    await rm(draft, { force: true })
  }
}

/** A backup that a power cut can take away would be none. */
async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const existsError = (file: string): MusterError =>
  new MusterError('invalid-request', `${file} exists: choose another name, or replace it with --force`)

const isExisting = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'EEXIST'
