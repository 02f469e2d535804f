/**
 * Private keys at rest: PKCS#8 encrypted by PBES2 with scrypt (RFC 8018, RFC 7914) and AES-256-CBC. Node writes this form
 * only with PBKDF2 of 2048 rounds, so it is written here; reading is OpenSSL's.
 */
import type { KeyObject } from 'node:crypto'
import { createCipheriv, createPrivateKey, scryptSync } from 'node:crypto'

import { objectIdentifier, octetString, sequence, wholeNumber } from './der.ts'
import { pemBlocks, toPem } from './pem.ts'
import type { RandomBytes } from './serial.ts'

const label = 'ENCRYPTED PRIVATE KEY'
/** 16 MiB, of the 32 that OpenSSL takes by default; about 50 ms. */
const cost = { N: 16_384, r: 8, p: 1 }

/** One PEM block. */
export function encryptKey(key: KeyObject, passphrase: string, random: RandomBytes): string {
  const salt = random(16)
  const iv = random(16)
  const cipher = createCipheriv('aes-256-cbc', scryptSync(passphrase, salt, 32, cost), iv)
  const encrypted = Buffer.concat([
    cipher.update(key.export({ type: 'pkcs8', format: 'der' })),
    cipher.final(),
  ])
  const derivation = sequence(
    objectIdentifier('1.3.6.1.4.1.11591.4.11'),
    sequence(octetString(salt), wholeNumber(cost.N), wholeNumber(cost.r), wholeNumber(cost.p)),
  )
  const encryption = sequence(objectIdentifier('2.16.840.1.101.3.4.1.42'), octetString(iv))
  const scheme = sequence(objectIdentifier('1.2.840.113549.1.5.13'), sequence(derivation, encryption))
  return toPem(label, sequence(scheme, octetString(encrypted)))
}

/** The keys of a text of one or more blocks; a string says what is wrong with it. */
export function decryptKeys(pem: string, passphrase: string): readonly KeyObject[] | string {
  const blocks = pemBlocks(pem).filter((block) => block.label.endsWith('PRIVATE KEY'))
  if (blocks.length === 0) return 'holds no PEM block "ENCRYPTED PRIVATE KEY"'
  if (blocks.some((block) => block.label !== label)) {
    return 'holds a key that is not encrypted; encrypt it: openssl pkcs8 -topk8 -scrypt -in KEY -out ca-key.pem'
  }
  try {
    return blocks.map((block) => createPrivateKey({ key: block.pem, passphrase }))
  } catch {
    // OpenSSL's words for a wrong passphrase are a fault of decoding, one of many.
    return 'cannot be decrypted: the passphrase is another, or the file is damaged'
  }
}
