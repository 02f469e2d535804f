/**
 * The certificate authority that a daemon works with: one issuing certificate with its key, perhaps others that are
 * trusted besides (before and after a change of them), and the roots that managers pin. Where keys and certificates come
 * from, `open-authority.ts` and `ca-files.ts` know.
 */
import { X509Certificate } from 'node:crypto'

import type { Crl, RevokedSerial } from './crl.ts'
import { createCrl } from './crl.ts'
import type { HostRequest, IssuedCertificate, Issuer, ServerCertificate } from './issue.ts'
import { issueForHost, issueServer } from './issue.ts'
import { pinOf } from './public-key.ts'
import type { RandomBytes } from './serial.ts'

export interface Authority {
  /** `sha256/<base64url>` of each trusted root's public key: what a launch payload carries. */
  readonly pins: readonly string[]
  /** Every trusted certificate, issuing ones and roots, PEM: `ca` of the managers' TLS server. */
  readonly trusted: readonly string[]
  /** The active issuing certificate and those above it, up to the root, PEM. */
  readonly chain: string
  /** The active issuing certificate; `notAfter` in milliseconds since the epoch. */
  readonly issuer: { readonly name: string; readonly notAfter: number }
  /**
   * A certificate for a backend's connection, by its request; for `lifetimeS` seconds unless said otherwise.
   * @throws MusterError `invalid-request` for a request that is refused, `authority-unusable` past the issuer's end
   */
  issueForHost(request: Omit<HostRequest, 'lifetimeS'> & { lifetimeS?: number }): Promise<IssuedCertificate>
  /** A certificate for a TLS server with these DNS names, for 7 days, with a new key. */
  issueServer(request: { names: readonly string[]; now: number }): Promise<ServerCertificate>
  /**
   * Whether one of the issuing certificates that are trusted now has signed this one. A TLS peer may send a retired
   * issuer's certificate along, and OpenSSL would follow it to the root.
   */
  isIssuerOf(certificate: X509Certificate): boolean
  /** What is revoked and not expired, signed by each issuing certificate whose key is here; for 24 hours. */
  crl(revoked: readonly RevokedSerial[], now: number): Promise<Crl>
}

export interface AuthorityParts {
  /** The active one first. Those whose key is here; the others are in `issuingPem` only. */
  readonly issuers: readonly [Issuer, ...Issuer[]]
  /** Every trusted issuing certificate. */
  readonly issuingPem: readonly string[]
  readonly rootPem: readonly string[]
  /** Of a host's certificate, seconds. */
  readonly lifetimeS: number
  readonly random: RandomBytes
}

export function createAuthority(parts: AuthorityParts): Authority {
  const { issuers, issuingPem, rootPem, random } = parts
  const [active] = issuers
  const issuing = issuingPem.map((pem) => new X509Certificate(pem))
  return {
    pins: rootPem.map((pem) =>
      pinOf(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })),
    ),
    trusted: [...issuingPem, ...rootPem],
    chain: active.chainPem,
    issuer: { name: active.name, notAfter: active.notAfter },
    issueForHost: (request) => issueForHost(active, random, { lifetimeS: parts.lifetimeS, ...request }),
    issueServer: (request) => issueServer(active, random, request),
    isIssuerOf: (certificate) =>
      issuing.some((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)),
    crl: (revoked, now) => createCrl(issuers, revoked, now),
  }
}
