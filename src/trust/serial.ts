import type { X509Certificate } from 'node:crypto'

/** Gives so many random bytes. `randomBytes` of node:crypto, where nothing is simulated. */
export type RandomBytes = (count: number) => Buffer

/** A serial of 128 bits, 126 of them of chance: positive, and of 32 lower-case hex characters however it is printed. */
export function newSerial(random: RandomBytes): string {
  const bytes = Buffer.from(random(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}

/** The serial of a peer's certificate as the rows write it. */
export function serialOf(certificate: Pick<X509Certificate, 'serialNumber'>): string {
  return certificate.serialNumber.toLowerCase().padStart(32, '0')
}
