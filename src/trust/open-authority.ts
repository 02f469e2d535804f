/**
 * From PEM texts, an operator's or our own files', to an authority. Everything that is wrong with them is said at once:
 * whoever brings certificates mends them in one go.
 */
import type { KeyObject } from 'node:crypto'
import { randomBytes, X509Certificate } from 'node:crypto'

import { MusterError } from '../model/errors.ts'
import type { Authority } from './authority.ts'
import { createAuthority } from './authority.ts'
import { decryptKeys } from './encrypted-key.ts'
import type { Issuer } from './issue.ts'
import { pemBlocks, pemToDer } from './pem.ts'
import type { RandomBytes } from './serial.ts'
import { issuerIdentityOf } from './sign-certificate.ts'
import { createKeySigner, signatureAlgorithmOf } from './signer.ts'

export interface AuthorityTexts {
  /** PEM: the active issuing certificate first, then others that are trusted, then those above them up to their roots. */
  readonly certificates: string
  /** Encrypted PKCS#8, PEM: the key of the active issuing certificate, perhaps with others'. */
  readonly keys: string
  readonly passphrase: string
}

export interface OpenOptions {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Of hosts' certificates, seconds. */
  readonly lifetimeS: number
  readonly random?: RandomBytes
  /** What people call the two texts: settings, or files. */
  readonly names?: { readonly certificates: string; readonly keys: string }
}

const settingNames = { certificates: 'MUSTER_CA_CERTIFICATES', keys: 'MUSTER_CA_KEY' }

/**
 * The authority of these texts. Certificates other than the active one that have expired are left out.
 * @throws MusterError `authority-unusable` with every fault in `details`
 */
export function openAuthority(texts: AuthorityTexts, options: OpenOptions): Authority {
  const names = options.names ?? settingNames
  const faults: string[] = []
  const held = readCertificates(texts.certificates, names.certificates, options.now, faults)
  const keys = decryptKeys(texts.keys, texts.passphrase)
  if (typeof keys === 'string') faults.push(`${names.keys}: ${keys}`)
  const [active] = held
  const issuers: Issuer[] = []
  if (active !== undefined && typeof keys !== 'string') {
    for (const certificate of held.filter((each) => !isRoot(each))) {
      const issuer = issuerOf(certificate, held, keys)
      if (issuer !== undefined) issuers.push(issuer)
    }
    if (!keys.some((key) => active.checkPrivateKey(key))) {
      faults.push(`${names.keys}: is not the key of the first certificate of ${names.certificates}`)
    }
  }
  const [first, ...others] = issuers
  if (faults.length > 0 || first === undefined) throw unusable(faults)
  return createAuthority({
    issuers: [first, ...others],
    issuingPem: held.filter((each) => !isRoot(each)).map(String),
    rootPem: held.filter(isRoot).map(String),
    lifetimeS: options.lifetimeS,
    random: options.random ?? randomBytes,
  })
}

/** Authorities' certificates that are valid now, in their order. */
function readCertificates(
  text: string,
  name: string,
  now: number,
  faults: string[],
): readonly X509Certificate[] {
  const blocks = pemBlocks(text).filter(({ label }) => label === 'CERTIFICATE')
  if (blocks.length === 0) {
    faults.push(`${name}: holds no PEM block "CERTIFICATE"`)
    return []
  }
  const held: X509Certificate[] = []
  for (const [index, { pem }] of blocks.entries()) {
    const which = `${name}: certificate ${index + 1} of ${blocks.length}`
    const certificate = parse(pem)
    if (certificate === undefined) faults.push(`${which} cannot be read`)
    else if (!certificate.ca) faults.push(`${which} (${nameOf(certificate)}) is none of an authority`)
    else if (certificate.validFromDate.getTime() > now) faults.push(`${which} is not valid yet`)
    else if (certificate.validToDate.getTime() > now) held.push(certificate)
    else if (index === 0) faults.push(`${which} expired at ${certificate.validToDate.toISOString()}`)
  }
  const [active] = held
  if (active === undefined || faults.length > 0) return held
  if (isRoot(active)) faults.push(`${name}: the first certificate is a root; an issuing one must stand there`)
  if (signatureAlgorithmOf(active.publicKey) === undefined) {
    faults.push(`${name}: the first certificate's key must be on P-256 or P-384`)
  }
  for (const certificate of held) {
    if (chainOf(certificate, held) === undefined) {
      faults.push(`${name}: ${nameOf(certificate)} leads to no root that stands there and is valid`)
    }
  }
  return held
}

function issuerOf(
  certificate: X509Certificate,
  held: readonly X509Certificate[],
  keys: readonly KeyObject[],
): Issuer | undefined {
  const key = keys.find((each) => certificate.checkPrivateKey(each))
  const chain = chainOf(certificate, held)
  if (key === undefined || chain === undefined || signatureAlgorithmOf(certificate.publicKey) === undefined) {
    return undefined
  }
  return {
    signer: createKeySigner(key),
    identity: issuerIdentityOf(pemToDer(String(certificate))),
    name: nameOf(certificate),
    notAfter: certificate.validToDate.getTime(),
    chainPem: chain.map(String).join(''),
  }
}

/** From this certificate up to its root; undefined when a link is missing. */
function chainOf(
  certificate: X509Certificate,
  held: readonly X509Certificate[],
): readonly X509Certificate[] | undefined {
  const chain = [certificate]
  for (let last = certificate; !isRoot(last);) {
    const above = held.find((each) => !chain.includes(each) && isIssuedBy(last, each))
    if (above === undefined) return undefined
    chain.push(above)
    last = above
  }
  return chain
}

function isRoot(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate)
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function nameOf(certificate: X509Certificate): string {
  return certificate.subject.replaceAll('\n', ', ').replace(/^CN=/, '')
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function unusable(faults: readonly string[]): MusterError {
  return new MusterError('authority-unusable', 'the certificate authority cannot be used', {
    details: faults,
  })
}
