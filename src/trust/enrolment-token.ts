/**
 * The secret that lets a manager enrol: `mse1_<id>_<secret>`. The id (128 bits, base32) is public: rows are found and
 * logs may name it. The secret (256 bits, base64url) is stored as its SHA-256 only; it is random or derived under a
 * key, so a slow hash would add nothing.
 */
import { createHash, createHmac } from 'node:crypto'

import type { RandomBytes } from './serial.ts'

export interface ParsedToken {
  readonly id: string
  /** SHA-256 of the secret, lower-case hex. */
  readonly secretHash: string
}

const wholeToken = /^mse1_([a-z2-7]{26})_([A-Za-z0-9_-]{43})$/

/**
 * The token of one attempt of a launch. Derived, never stored: a repeated call carries the same bytes, whichever daemon
 * makes it.
 */
export function launchToken(fleetKey: string, launchId: string, attempt: number): string {
  const derive = (label: string): Buffer =>
    createHmac('sha256', fleetKey).update(`muster ${label}\0${attempt}\0${launchId}`).digest()
  return tokenText(derive('enrolment id').subarray(0, 16), derive('enrolment secret'))
}

/** A token for a backend that joins by itself. */
export function newToken(random: RandomBytes): string {
  return tokenText(random(16), random(32))
}

/** What to look up and compare; undefined for what is no token. */
export function parseToken(text: string): ParsedToken | undefined {
  const [, id, secret] = wholeToken.exec(text) ?? []
  if (id === undefined || secret === undefined) return undefined
  return { id, secretHash: createHash('sha256').update(secret).digest('hex') }
}

function tokenText(id: Buffer, secret: Buffer): string {
  return `mse1_${base32(id)}_${secret.toString('base64url')}`
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** RFC 4648 without padding, in lower case. */
function base32(bytes: Buffer): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    for (; bits >= 5; bits -= 5) text += alphabet.charAt((held >>> (bits - 5)) & 31)
    held &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + alphabet.charAt((held << (5 - bits)) & 31)
}
