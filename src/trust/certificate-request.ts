/**
 * Certificate requests (PKCS#10, RFC 2986). Of a stranger's request only the public key is used: names and extensions
 * that it asks for are not even looked at.
 */
import { createPublicKey, verify } from 'node:crypto'

import { AsnConvert } from '@peculiar/asn1-schema'
import { CertificationRequest } from '@peculiar/asn1-csr'

import { MusterError } from '../model/errors.ts'
import { pemBlocks, pemToDer } from './pem.ts'
import { spkiHash } from './public-key.ts'

export const mostRequestBytes = 8 * 1024

export interface CheckedRequest {
  /** SubjectPublicKeyInfo, DER, in the one form that this key can have: so a key has one hash. */
  readonly spki: Buffer
  /** SHA-256 of it, lower-case hex. */
  readonly spkiHash: string
}

/**
 * How each kind of key that we take begins, up to its point: named curve, uncompressed. Any other way to write the same
 * key would pass for another key.
 */
const keyForms = [
  { kind: 'P-256', head: '3059301306072a8648ce3d020106082a8648ce3d03010703420004', bytes: 64 },
  { kind: 'P-384', head: '3076301006072a8648ce3d020106052b8104002203620004', bytes: 96 },
  { kind: 'Ed25519', head: '302a300506032b6570032100', bytes: 32 },
] as const

/** Signature algorithms by object identifier; null: the key's own. */
const hashes: Readonly<Record<string, string | null>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
}

/**
 * The public key of a request, DER or PEM, whose sender has proved to hold the private one.
 * @throws MusterError `invalid-request`, which says what is wrong with it
 */
export function readRequest(csr: Buffer | string): CheckedRequest {
  const der = derOf(csr)
  if (der.length > mostRequestBytes) throw refuse(`is larger than ${mostRequestBytes} bytes`)
  // Refused here since the parser passes over what follows the structure that it read.
  if (der.length !== encodedLength(der)) throw refuse('is not one DER structure, or bytes follow it')
  const request = parse(der)
  const spki = Buffer.from(AsnConvert.serialize(request.certificationRequestInfo.subjectPKInfo))
  const form = keyForms.find(
    ({ head, bytes }) => spki.length === head.length / 2 + bytes && spki.toString('hex').startsWith(head),
  )
  if (form === undefined) {
    throw refuse('must have a key on P-256 or P-384 (named curve, uncompressed), or Ed25519')
  }
  if (!isProven(request, spki)) throw refuse('is not signed with its own key')
  return { spki, spkiHash: spkiHash(spki) }
}

function derOf(csr: Buffer | string): Buffer {
  if (typeof csr !== 'string') return csr
  // Base64 and line ends; measured before it is decoded.
  if (csr.length > mostRequestBytes * 2) throw refuse(`is larger than ${mostRequestBytes} bytes`)
  const blocks = pemBlocks(csr).filter(({ label }) => /^(NEW )?CERTIFICATE REQUEST$/.test(label))
  const [block] = blocks
  if (block === undefined || blocks.length > 1) throw refuse('must be one PEM block "CERTIFICATE REQUEST"')
  return pemToDer(block.pem)
}

/** Bytes of the structure at the start of `der`, its header included; NaN for what is none. */
function encodedLength(der: Buffer): number {
  const [tag, first, ...rest] = der.subarray(0, 4)
  if (tag !== 0x30 || first === undefined) return NaN
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  if (count < 1 || count > 2 || rest.length < count) return NaN
  return 2 + count + rest.slice(0, count).reduce((length, byte) => length * 256 + byte, 0)
}

function parse(der: Buffer): CertificationRequest {
  try {
    return AsnConvert.parse(der, CertificationRequest)
  } catch (cause) {
    throw refuse('is not a certificate request (PKCS#10)', cause)
  }
}

function isProven(request: CertificationRequest, spki: Buffer): boolean {
  const hash = hashes[request.signatureAlgorithm.algorithm]
  const signed = request.certificationRequestInfoRaw
  if (hash === undefined || signed === undefined) return false
  try {
    // Refuses a point that is not on its curve.
    const key = createPublicKey({ key: spki, type: 'spki', format: 'der' })
    return verify(hash, Buffer.from(signed), key, Buffer.from(request.signature))
  } catch {
    return false
  }
}

function refuse(what: string, cause?: unknown): MusterError {
  return new MusterError('invalid-request', `the certificate request ${what}`, { cause })
}
