/**
 * An authority as files: a directory of mode 0700 with `ca.pem`, `ca-key.pem` and `root-key.pem`, the keys encrypted and
 * of mode 0600. A directory is written whole under another name, renamed into place, and never changed: a crash leaves
 * nothing or everything, and of two writers one wins.
 *
 * On the built-in database the daemon keeps its own below `<dataDir>/trust`, one directory a generation (`00001`, …); the
 * highest counts.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { MusterError } from '../model/errors.ts'
import type { Authority } from './authority.ts'
import type { AuthorityFiles, RotationStep } from './make-authority.ts'
import { makeAuthority, rotate } from './make-authority.ts'
import { openAuthority } from './open-authority.ts'

export const caFileNames = {
  certificates: 'ca.pem',
  keys: 'ca-key.pem',
  rootKey: 'root-key.pem',
  passphrase: 'ca-passphrase',
} as const

export interface OwnAuthorityOptions {
  /** `<dataDir>/trust`. */
  readonly directory: string
  readonly passphrase: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Of hosts' certificates, seconds. */
  readonly lifetimeS: number
}

/** So long before its end an issuing certificate of our own is followed by the next. */
const renewBeforeMs = 90 * 86_400_000
/** A draft this old was left by a crash. */
const draftAgeMs = 3_600_000

/** Which directory an authority was read from. */
const openedFrom = new WeakMap<Authority, string>()

/**
 * The authority of the built-in database: made on first start, its issuing certificate followed by the next in time.
 * `current`, which was opened before, is given back while nothing has changed: opening keys holds the process for 50 ms
 * each, and this may be asked each minute.
 * @throws MusterError `authority-unusable`
 */
export async function openOwnAuthority(
  options: OwnAuthorityOptions,
  current?: Authority,
): Promise<Authority> {
  const { directory, passphrase, now } = options
  let generation = await latestGeneration(directory)
  if (generation === 0) {
    // Another process may be first: then its authority is the one.
    await writeCaFiles(generationPath(directory, 1), await makeAuthority(passphrase, now), now)
    generation = await latestGeneration(directory)
  }
  const isCurrent = current !== undefined && openedFrom.get(current) === generationPath(directory, generation)
  const authority = isCurrent ? current : await openGeneration(options, generation)
  if (authority.issuer.notAfter - now > renewBeforeMs) return authority
  await rotateOwn(directory, ['prepare', 'activate'], passphrase, now)
  return openGeneration(options, await latestGeneration(directory))
}

/** Take these steps with the authority below `directory`; gives the directory that holds it now. */
export async function rotateOwn(
  directory: string,
  steps: readonly RotationStep[],
  passphrase: string,
  now: number,
): Promise<string> {
  const generation = await latestGeneration(directory)
  if (generation === 0)
    throw unusable(`${directory} holds no certificate authority yet; the first start makes it`)
  const next = generationPath(directory, generation + 1)
  const files = await rotateFiles(generationPath(directory, generation), steps, passphrase, now)
  if (!(await writeCaFiles(next, files, now))) {
    throw unusable(
      'another process has changed the certificate authority meanwhile; nothing was changed here',
    )
  }
  return next
}

/** The files of a directory after these steps; nothing is written. */
export async function rotateFiles(
  directory: string,
  steps: readonly RotationStep[],
  passphrase: string,
  now: number,
  rootKeyFile?: string,
): Promise<AuthorityFiles> {
  const held = await readCaFiles(directory)
  const brought = rootKeyFile === undefined ? held.rootKey : await readOwnFile(rootKeyFile)
  let files: AuthorityFiles = { ...held, rootKey: brought }
  for (const step of steps) files = await rotate(files, step, passphrase, now)
  return { ...files, rootKey: held.rootKey }
}

/** @throws MusterError `authority-unusable` when a file is missing, or others may read a key */
export async function readCaFiles(directory: string): Promise<AuthorityFiles> {
  const path = (file: string): string => join(directory, file)
  return {
    certificates: await readFile(path(caFileNames.certificates), 'utf8').catch(unreadable),
    keys: await readOwnFile(path(caFileNames.keys)),
    rootKey: await readIfThere(path(caFileNames.rootKey)),
  }
}

/** The passphrase that `muster ca init` has left in a directory; undefined when it was moved elsewhere. */
export async function readPassphrase(directory: string): Promise<string | undefined> {
  return (await readIfThere(join(directory, caFileNames.passphrase)))?.trim()
}

/** Write a new directory, with the passphrase if that is made here too; false when there is one already, which is left as it is. */
export async function writeCaFiles(
  directory: string,
  files: AuthorityFiles,
  now: number,
  passphrase?: string,
): Promise<boolean> {
  const parent = dirname(directory)
  const draft = join(parent, `.draft-${basename(directory)}-${process.pid}-${crypto.randomUUID()}`)
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 })
    await removeOldDrafts(parent, now)
    await mkdir(draft, { mode: 0o700 })
    const write = (file: string, text: string, mode: number): Promise<void> =>
      writeFile(join(draft, file), text, { mode, flush: true })
    await write(caFileNames.certificates, files.certificates, 0o644)
    await write(caFileNames.keys, files.keys, 0o600)
    if (files.rootKey !== undefined) await write(caFileNames.rootKey, files.rootKey, 0o600)
    if (passphrase !== undefined) await write(caFileNames.passphrase, `${passphrase}\n`, 0o600)
    // Fails where there is anything already, unless it is an empty directory.
    await rename(draft, directory)
    return true
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (isCode(error, 'ENOTEMPTY') || isCode(error, 'EEXIST') || isCode(error, 'ENOTDIR')) return false
    throw unusable(`${directory} cannot be written: ${messageOf(error)}`, error)
  }
}

/** The directory that counts below `<dataDir>/trust`; undefined before the first start. */
export async function ownAuthorityPath(directory: string): Promise<string | undefined> {
  const generation = await latestGeneration(directory)
  return generation === 0 ? undefined : generationPath(directory, generation)
}

async function openGeneration(options: OwnAuthorityOptions, generation: number): Promise<Authority> {
  const directory = generationPath(options.directory, generation)
  const { certificates, keys } = await readCaFiles(directory)
  const names = {
    certificates: join(directory, caFileNames.certificates),
    keys: join(directory, caFileNames.keys),
  }
  const authority = openAuthority(
    { certificates, keys, passphrase: options.passphrase },
    { ...options, names },
  )
  openedFrom.set(authority, directory)
  return authority
}

/** 0: there is none. */
async function latestGeneration(directory: string): Promise<number> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    return unreadable(error)
  })
  return Math.max(0, ...names.filter((name) => /^\d{5}$/.test(name)).map(Number))
}

function generationPath(directory: string, generation: number): string {
  return join(directory, String(generation).padStart(5, '0'))
}

async function readOwnFile(path: string): Promise<string> {
  const { mode } = await stat(path).catch(unreadable)
  if ((mode & 0o077) !== 0) {
    throw unusable(`${path} may be read by others (mode ${(mode & 0o777).toString(8)}): chmod 600 ${path}`)
  }
  return readFile(path, 'utf8').catch(unreadable)
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readOwnFile(path).catch((error: unknown) => {
    if (error instanceof MusterError && isCode(error.cause, 'ENOENT')) return undefined
    throw error
  })
}

async function removeOldDrafts(parent: string, now: number): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith('.draft-')) continue
    const path = join(parent, name)
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && now - found.mtimeMs > draftAgeMs) {
      await rm(path, { recursive: true, force: true })
    }
  }
}

function unreadable(error: unknown): never {
  throw unusable(`a file of the certificate authority cannot be read: ${messageOf(error)}`, error)
}

function unusable(message: string, cause?: unknown): MusterError {
  return new MusterError('authority-unusable', message, { cause })
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
