/**
 * What a manager proves itself with, and whom it believes: a key, the certificate of it, and the roots that a daemon's
 * own certificate may chain to. All PEM.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'

import { pemBlocks } from '../trust/pem.ts'
import { pinOf } from '../trust/public-key.ts'
import { serialOf } from '../trust/serial.ts'

export interface Credentials {
  /** PKCS#8, unencrypted. */
  readonly key: string
  /** The certificate, then those above it. */
  readonly certificate: string
  /** Roots, perhaps with issuing certificates. */
  readonly ca: string
}

/** Times are milliseconds since the epoch. */
export interface CheckedCredentials extends Credentials {
  readonly serial: string
  readonly notBefore: number
  readonly notAfter: number
  /** Whom it names: of `spiffe://FLEET/host/ID` the id; empty when it names nobody so. */
  readonly backendId: string
  /** The pin of the root that it chains to. */
  readonly rootPin: string
}

/** Longer than any chain of ours: root, issuing, host. */
const longestChain = 8

/** The credentials with what they say, or what is wrong with them. Time is not looked at. */
export function checkCredentials(credentials: Credentials): CheckedCredentials | string {
  const { key, certificate, ca } = credentials
  try {
    const [leaf, ...above] = certificatesOf(certificate)
    if (leaf === undefined) return 'there is no certificate'
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return 'the certificate is of another key'
    const trusted = certificatesOf(ca)
    const root = rootOf(leaf, [...above, ...trusted], trusted)
    if (root === undefined) return 'the certificate leads to no root that is trusted'
    return {
      ...credentials,
      serial: serialOf(leaf),
      notBefore: leaf.validFromDate.getTime(),
      notAfter: leaf.validToDate.getTime(),
      backendId: /URI:spiffe:\/\/[^/,]+\/host\/([^/,\s]+)/.exec(leaf.subjectAltName ?? '')?.[1] ?? '',
      rootPin: pinOfCertificate(root),
    }
  } catch (error) {
    return `they cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * What a manager needs in a handshake, PEM. Only roots are trusted (the daemon shows what is between), since OpenSSL sends
 * what it holds above the own certificate, too, and the daemon would keep that for each connection: 10 KB that say
 * nothing, as it knows every issuer that it trusts.
 */
export function handshakeOf({ key, certificate, ca }: Credentials): {
  readonly key: string
  readonly cert: string
  readonly ca: string
} {
  const [leaf] = certificatesOf(certificate)
  const roots = certificatesOf(ca).filter(isRoot)
  return { key, cert: leaf?.toString() ?? certificate, ca: roots.map(String).join('') }
}

/** `sha256/<base64url>` of each root in a text. */
export function pinsOf(ca: string): readonly string[] {
  return certificatesOf(ca).filter(isRoot).map(pinOfCertificate)
}

export function pinOfCertificate(certificate: X509Certificate): string {
  return pinOf(certificate.publicKey.export({ type: 'spki', format: 'der' }))
}

export function isRoot(certificate: X509Certificate): boolean {
  return certificate.ca && isIssuedBy(certificate, certificate)
}

function certificatesOf(pem: string): readonly X509Certificate[] {
  return pemBlocks(pem)
    .filter(({ label }) => label === 'CERTIFICATE')
    .map((block) => new X509Certificate(block.pem))
}

function rootOf(
  leaf: X509Certificate,
  known: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
): X509Certificate | undefined {
  let last = leaf
  for (let length = 0; length < longestChain; length += 1) {
    const issuer = known.find((one) => one.ca && isIssuedBy(last, one))
    if (issuer === undefined) return undefined
    if (isRoot(issuer)) return trusted.find((one) => one.raw.equals(issuer.raw))
    last = issuer
  }
  return undefined
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}
