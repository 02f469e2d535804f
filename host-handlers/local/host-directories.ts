import { randomUUID } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { hostFiles } from '../../src/model/manager-spec.ts'
import type { ManagerSpec } from '../../src/model/manager-spec.ts'

/**
 * The directories of local hosts, one each: what the manager is told, and the memory of hosts that have ended, so that
 * a late repeat of their launch starts nothing. Every file appears whole (written beside, then renamed).
 */
const endedFile = 'ended'
/** How long an ended host is remembered, in milliseconds. */
const rememberMs = 24 * 60 * 60 * 1000

/** Safe to repeat; the spec holds a secret, so that only its owner may enter. */
export async function prepareDirectory(directory: string, spec: ManagerSpec): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeWhole(join(directory, hostFiles.spec), `${JSON.stringify(spec, null, 2)}\n`)
}

/** Whether a manager has, or had, this host, or it was ended before it had one. */
export async function isClaimed(directory: string): Promise<boolean> {
  return exists(join(directory, hostFiles.claim))
}

/** The host is ending: a manager that comes late must find it taken. */
export async function takeClaim(directory: string): Promise<void> {
  const claim = `${JSON.stringify({ pid: null, startTime: null, bootId: null })}\n`
  await writeFile(join(directory, hostFiles.claim), claim, { flag: 'wx', mode: 0o600 }).catch(
    (error: unknown) => {
      const { code } = error as NodeJS.ErrnoException
      // ENOENT: there is no directory, so there is nothing that a manager could start from.
      if (code !== 'EEXIST' && code !== 'ENOENT') throw error
    },
  )
}

/** Where the manager finds its way home; written only when it differs. */
export async function writeDaemonAddresses(directory: string, addresses: readonly string[]): Promise<void> {
  const path = join(directory, hostFiles.daemon)
  const text = addresses.map((address) => `${address}\n`).join('')
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeWhole(path, text)
}

/** Marks the directories of hosts that do not run as ended, and removes those that ended long ago. */
export async function pruneDirectories(
  hostsDirectory: string,
  running: ReadonlySet<string>,
  now: number,
): Promise<void> {
  for (const name of await readdir(hostsDirectory).catch(() => [])) {
    const directory = join(hostsDirectory, name)
    const marker = join(directory, endedFile)
    if (running.has(name)) await rm(marker, { force: true })
    // Without a claim, its launch may still be repeated.
    if (running.has(name) || !(await isClaimed(directory))) continue
    const ended = await stat(marker).catch(() => undefined)
    if (ended === undefined) await writeFile(marker, '', { mode: 0o600 })
    else if (ended.mtimeMs < now - rememberMs) await rm(directory, { recursive: true, force: true })
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  // A name of its own, so that two who write at once do not rename each other's.
  const draft = `${path}.${randomUUID()}.new`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, path)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
