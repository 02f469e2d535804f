/**
 * The list of revoked certificates (RFC 5280, 5), for third parties: Muster itself goes by its allow-list. Written
 * directly, since a list is long when it matters.
 */
import { AsnConvert } from '@peculiar/asn1-schema'

import {
  bitString,
  enumerated,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  tagged,
  time,
  wholeNumber,
} from './der.ts'
import type { Issuer } from './issue.ts'
import { toPem } from './pem.ts'
import { signatureAlgorithmOf } from './signer.ts'

/** A certificate that is revoked and has not expired. */
export interface RevokedSerial {
  /** Lower-case hex. */
  readonly serial: string
  /** Milliseconds since the epoch. */
  readonly revokedAt: number
  /** A reason of `fleet.certificates`. */
  readonly reason?: string
}

export interface Crl {
  /** Of the active issuing certificate. */
  readonly der: Buffer
  /** Of every issuing certificate whose key is here, the active one's first. */
  readonly pem: string
}

const validMs = 86_400_000
/** CRLReason (RFC 5280, 5.3.1) of the reasons that have one; others are left unspecified. */
const reasonCodes: ReadonlyMap<string, number> = new Map([
  ['superseded', 4],
  ['host-terminated', 5],
  ['deleted', 5],
])

/**
 * A list by each issuer. Each holds all serials: they are of 128 bits, so one that another issuer has signed does no harm.
 */
export async function createCrl(
  issuers: readonly [Issuer, ...Issuer[]],
  revoked: readonly RevokedSerial[],
  now: number,
): Promise<Crl> {
  const entries = revoked.length === 0 ? Buffer.alloc(0) : sequence(entriesOf(revoked))
  const [der, ...others] = await Promise.all([
    sign(issuers[0], entries, now),
    ...issuers.slice(1).map((issuer) => sign(issuer, entries, now)),
  ])
  // OpenSSL and Node read this label only.
  return { der, pem: [der, ...others].map((list) => toPem('X509 CRL', list)).join('') }
}

async function sign(issuer: Issuer, entries: Buffer, now: number): Promise<Buffer> {
  const { oid } = signatureAlgorithmOf(issuer.signer.publicKey) ?? {}
  if (oid === undefined) throw new TypeError('an authority signs with P-256 or P-384')
  const algorithm = sequence(objectIdentifier(oid))
  const list = sequence(
    wholeNumber(1),
    algorithm,
    Buffer.from(AsnConvert.serialize(issuer.identity.name)),
    time(now),
    time(now + validMs),
    entries,
    tagged(
      0,
      sequence(
        extension('2.5.29.35', sequence(keyIdentifier(issuer.identity.keyId))),
        // The list's number: it only has to grow.
        extension('2.5.29.20', wholeNumber(now)),
      ),
    ),
  )
  return sequence(list, algorithm, bitString(await issuer.signer.sign(list)))
}

/** As hex, and what repeats made once: ten thousand of them hold the process for a few milliseconds only. */
function entriesOf(revoked: readonly RevokedSerial[]): Buffer {
  const times = new Map<number, string>()
  const reasons = new Map<string | undefined, string>()
  const hex = revoked.map(({ serial, revokedAt, reason }) => {
    const second = Math.floor(revokedAt / 1000)
    const at = remember(times, second, () => time(revokedAt).toString('hex'))
    const why = remember(reasons, reason, () => reasonOf(reason).toString('hex'))
    const content = serialOf(serial) + at + why
    // Shorter than 128 bytes, so its length is one.
    return `30${(content.length / 2).toString(16).padStart(2, '0')}${content}`
  })
  return Buffer.from(hex.join(''), 'hex')
}

function remember<Key>(known: Map<Key, string>, key: Key, make: () => string): string {
  const found = known.get(key) ?? make()
  known.set(key, found)
  return found
}

function serialOf(serial: string): string {
  // Ours are of this form: 16 bytes, positive, no zero before them.
  return /^[1-7][0-9a-f]{31}$/.test(serial)
    ? `0210${serial}`
    : integer(Buffer.from(serial, 'hex')).toString('hex')
}

function reasonOf(reason: string | undefined): Buffer {
  const code = reason === undefined ? undefined : reasonCodes.get(reason)
  return code === undefined ? Buffer.alloc(0) : sequence(extension('2.5.29.21', enumerated(code)))
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), octetString(value))
}

/** `[0] IMPLICIT OCTET STRING` of AuthorityKeyIdentifier. */
function keyIdentifier(keyId: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x80, keyId.length), keyId])
}
