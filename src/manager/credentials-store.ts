/**
 * The credentials in the host's directory. Key, certificate and roots are one file that is replaced whole, so that no
 * crash leaves a key with another's certificate. The key for the next certificate waits in a file of its own, written
 * before anybody hears of it: whoever asks again after a crash, or after an answer that was lost, asks with the same
 * key and is answered alike.
 *
 *   pending key → request → answer → credentials replaced → pending key removed
 */
import { createHash, createPrivateKey } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { z } from 'zod'

import type { FaultPoint } from '../lib/fault-points.ts'
import { noFaults } from '../lib/fault-points.ts'
import { MusterError } from '../model/errors.ts'
import { hostFiles } from '../model/manager-spec.ts'
import { keyPairAndCsr, requestFor } from '../trust/new-key.ts'
import type { CheckedCredentials, Credentials } from './credentials.ts'
import { checkCredentials } from './credentials.ts'
import { writeWhole } from './write-whole.ts'

const pem = z.string().min(1).max(65_536)
const credentialsFile = z.object({ key: pem, certificate: pem, ca: pem, redeemed: z.string().optional() })
const pendingFile = z.object({ key: pem, purpose: z.string().min(1) })

export interface HeldCredentials extends CheckedCredentials {
  /** `hashOfToken` of the token that they came by: it opens no door a second time. */
  readonly redeemed?: string | undefined
}

export class CredentialsStore {
  readonly #credentialsPath: string
  readonly #pendingPath: string
  readonly #fault: FaultPoint

  constructor(directory: string, fault: FaultPoint = noFaults) {
    this.#fault = fault
    this.#credentialsPath = join(directory, hostFiles.credentials)
    this.#pendingPath = join(directory, hostFiles.pendingKey)
  }

  /**
   * undefined before the first enrolment.
   * @throws MusterError `config-invalid` when the file is damaged, or others may read it
   */
  async read(): Promise<HeldCredentials | undefined> {
    const text = await readOwnFile(this.#credentialsPath)
    if (text === undefined) return undefined
    const parsed = credentialsFile.safeParse(parseJson(text))
    const checked = parsed.success ? checkCredentials(parsed.data) : 'it is no file of ours'
    if (typeof checked === 'string') {
      throw new MusterError(
        'config-invalid',
        `${this.#credentialsPath} cannot be used: ${checked}; remove it and enrol again with a new token`,
      )
    }
    return { ...checked, redeemed: parsed.data?.redeemed }
  }

  /** Replaces whatever there is; from then on these count. */
  async write({ key, certificate, ca }: Credentials, redeemed?: string): Promise<void> {
    await writeWhole(this.#credentialsPath, JSON.stringify({ key, certificate, ca, redeemed }))
    this.#fault('credentials.written')
    await this.forgetPendingKey()
  }

  /** The key that was made for this purpose, or a new one, and the request for its certificate, both PEM. */
  async pendingKey(purpose: string): Promise<{ readonly key: string; readonly csr: string }> {
    const pending = pendingFile.safeParse(parseJson((await readOwnFile(this.#pendingPath)) ?? ''))
    if (pending.success && pending.data.purpose === purpose) {
      const { key } = pending.data
      return { key, csr: requestFor(createPrivateKey(key)) }
    }
    const made = keyPairAndCsr()
    await writeWhole(this.#pendingPath, JSON.stringify({ key: made.privateKeyPem, purpose }))
    this.#fault('pending-key.written')
    return { key: made.privateKeyPem, csr: made.csrPem }
  }

  async forgetPendingKey(): Promise<void> {
    await rm(this.#pendingPath, { force: true })
  }
}

export function hashOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/**
 * A file that holds a secret; undefined when there is none.
 * @throws MusterError `config-invalid` when others than its owner may read it
 */
export async function readOwnFile(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) {
      throw new MusterError('config-invalid', `${path} may be read by others: chmod 600 ${path}`)
    }
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
