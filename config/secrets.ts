import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { MusterError } from '../src/model/errors.ts'

interface Wanted {
  readonly name: string
  readonly given: string | undefined
}

/**
 * Secrets that were not given: kept as files of mode 0600 under `<dataDir>/secrets`, made on first use. Without
 * `generate` only what is there is read, and what is not stands as an empty string.
 *
 * @throws MusterError `config-invalid` for files that others may read, `data-directory-unusable`
 */
export function readOrGenerateSecrets<File extends string>(
  dataDir: string,
  wanted: Readonly<Record<File, Wanted>>,
  generate: boolean,
): { readonly values: Readonly<Record<File, string>>; readonly directory: string | undefined } {
  const directory = join(dataDir, 'secrets')
  refuseOpenFiles(directory)
  const values: Partial<Record<File, string>> = {}
  let anyFile = false
  for (const [file, { given }] of Object.entries(wanted) as [File, Wanted][]) {
    if (given !== undefined) {
      values[file] = given
      continue
    }
    anyFile = true
    values[file] = readSecret(join(directory, file)) ?? (generate ? makeSecret(directory, file) : '')
  }
  return { values: values as Record<File, string>, directory: anyFile ? directory : undefined }
}

/** A secret that others of this machine may read is none. */
function refuseOpenFiles(directory: string): void {
  let paths: readonly string[] = []
  try {
    paths = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name))
  } catch {
    // Not there yet, or unusable: whoever reads or makes a secret says so.
  }
  const open = paths.filter((path) => {
    const found = statSync(path, { throwIfNoEntry: false })
    return found?.isFile() === true && (found.mode & 0o077) !== 0
  })
  if (open.length === 0) return
  throw new MusterError('config-invalid', 'secrets can be read by others on this machine', {
    details: open.map((path) => {
      const mode = (statSync(path).mode & 0o777).toString(8).padStart(4, '0')
      return `${path} has mode ${mode}: run "chmod 600 ${path}", and change the secret if others may have read it`
    }),
  })
}

function readSecret(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw unusable(path, error)
  }
}

/** Written whole under another name first: a crash leaves no half secret, and of two processes one wins. */
function makeSecret(directory: string, file: string): string {
  const path = join(directory, file)
  const draft = `${path}.${process.pid}`
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    chmodSync(directory, 0o700)
    writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
    try {
      linkSync(draft, path)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    rmSync(draft)
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw unusable(path, error)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function unusable(path: string, error: unknown): MusterError {
  const reason = error instanceof Error ? error.message : String(error)
  return new MusterError(
    'data-directory-unusable',
    `the data directory cannot be used (${path}): ${reason}; give this user the right to write there, or set MUSTER_DATA_DIR`,
    { cause: error },
  )
}
