/**
 * One process for one data directory. PGlite itself does not look: two processes on one directory both seem to work,
 * and committed rows of one vanish without a word. The lock is a file that names its holder; the file of a holder that
 * is gone is taken over at once.
 */
import { link, mkdir, readFile, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Clock } from '../../../lib/clock.ts'
import { MusterError } from '../../../model/errors.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { isAlive, ownIdentity, parseIdentity } from './process-identity.ts'

/** A holder on another machine or in another container cannot be looked up: the age of its file speaks for it. */
const touchMs = 5_000
const silentMs = 20_000
/** Whoever takes over a stale lock does it under this guard; a guard this old was left by a crash. */
const guardMs = 10_000

export interface DirectoryLock {
  release(): Promise<void>
}

/** @throws MusterError `data-directory-locked` when its holder lives; whatever the file system throws. */
export async function lockDirectory(directory: string, clock: Clock): Promise<DirectoryLock> {
  const path = join(directory, 'muster.lock')
  const identity = await ownIdentity()
  const text = `${JSON.stringify(identity)}\n`
  if (!(await createLock(path, text))) await takeOver(path, text, directory, clock)

  let cancel = (): void => undefined
  const touch = (): void => {
    const now = new Date(clock.now())
    utimes(path, now, now).catch(() => undefined)
    cancel = clock.after(touchMs, touch)
  }
  touch()
  return {
    release: async () => {
      cancel()
      if ((await readText(path)) === text) await rm(path, { force: true })
    },
  }
}

/** With its content from its first moment on, so that nobody ever reads half a lock. */
async function createLock(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${process.pid}.${crypto.randomUUID()}`
  await writeFile(draft, text, { flag: 'wx', mode: 0o600 })
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function takeOver(path: string, text: string, directory: string, clock: Clock): Promise<void> {
  const guard = `${path}.takeover`
  await mkdir(guard).catch(async (error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
    const age = clock.now() - (await mtimeOf(guard))
    if (age < guardMs) throw lockedError(directory, 'another process that is starting')
    await rmdir(guard).catch(() => undefined)
    await mkdir(guard)
  })
  try {
    const found = await readText(path)
    if (found !== undefined) {
      const holder = parseIdentity(found)
      if (await isHeld(path, holder, clock)) {
        throw lockedError(directory, holder === undefined ? 'another process' : `process ${holder.pid}`)
      }
    }
    const draft = `${path}.${process.pid}.${crypto.randomUUID()}`
    await writeFile(draft, text, { flag: 'wx', mode: 0o600 })
    await rename(draft, path)
  } finally {
    await rmdir(guard).catch(() => undefined)
  }
}

async function isHeld(path: string, holder: ProcessIdentity | undefined, clock: Clock): Promise<boolean> {
  const verdict = holder === undefined ? 'unknown' : await isAlive(holder)
  if (verdict !== 'unknown') return verdict === 'alive'
  return clock.now() - (await mtimeOf(path)) < silentMs
}

function lockedError(directory: string, holder: string): MusterError {
  return new MusterError(
    'data-directory-locked',
    `the data directory ${directory} is in use by ${holder}: stop it, or choose another directory (MUSTER_DATA_DIR)`,
  )
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function mtimeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0
    throw error
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
