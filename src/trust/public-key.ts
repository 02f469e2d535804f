import { createHash } from 'node:crypto'

/** SHA-256 of a public key (its SubjectPublicKeyInfo, DER), lower-case hex: what `fleet.certificates.spki_hash` holds. */
export function spkiHash(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}

/** A public key as launch payloads pin it: `sha256/` and SHA-256 of its SubjectPublicKeyInfo in base64url. */
export function pinOf(spki: Uint8Array): string {
  return `sha256/${createHash('sha256').update(spki).digest('base64url')}`
}
