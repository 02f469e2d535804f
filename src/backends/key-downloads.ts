/** Keys that were made here wait in memory only, each for one download: soon gone, and gone with the daemon. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

import { zipSync } from 'fflate'

import type { Clock } from '../lib/clock.ts'
import { MusterError } from '../model/errors.ts'

const downloadMs = 5 * 60 * 1000
const mostDownloads = 100

interface Download {
  readonly serial: string
  readonly zip: Buffer
  readonly tokenHash: Buffer
  readonly expiresAt: number
}

/** PEM each. */
interface KeyFiles {
  readonly key: string
  readonly chain: string
  readonly ca: string
}

export class KeyDownloads {
  readonly #clock: Pick<Clock, 'now'>
  /** By serial. */
  readonly #downloads = new Map<string, Download>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** Gives what opens the download, once, and until when (milliseconds since the epoch). */
  keep(serial: string, { key, chain, ca }: KeyFiles): { token: string; expiresAt: number } {
    this.#forgetOld()
    const [oldest] = this.#downloads.keys()
    if (this.#downloads.size >= mostDownloads && oldest !== undefined) this.#downloads.delete(oldest)
    const files = { 'ca.pem': ca, 'cert.pem': chain, 'key.pem': key }
    const entries = Object.entries(files).map(([name, text]) => [name, Buffer.from(text)] as const)
    const zip = Buffer.from(zipSync(Object.fromEntries(entries), { level: 0 }))
    const token = randomBytes(32).toString('base64url')
    const expiresAt = this.#clock.now() + downloadMs
    this.#downloads.set(serial, { serial, zip, tokenHash: hashOf(token), expiresAt })
    return { token, expiresAt }
  }

  /** The zip with ca.pem, cert.pem and key.pem, once. @throws MusterError `not-found` */
  take(serial: string, token: string): Buffer {
    this.#forgetOld()
    const held = this.#downloads.get(serial)
    if (held === undefined || !timingSafeEqual(held.tokenHash, hashOf(token))) {
      throw new MusterError(
        'not-found',
        'nothing is to be downloaded with this token: it was used, it is over 5 minutes old, or the daemon was restarted; issue another certificate',
      )
    }
    this.#downloads.delete(serial)
    return held.zip
  }

  #forgetOld(): void {
    const now = this.#clock.now()
    for (const { serial, expiresAt } of this.#downloads.values()) {
      if (expiresAt <= now) this.#downloads.delete(serial)
    }
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
