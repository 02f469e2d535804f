/** What is in each kind of certificate that an authority signs. Times are milliseconds since the epoch. */
import type { KeyObject } from 'node:crypto'
import { generateKeyPairSync } from 'node:crypto'

import { id_kp_clientAuth, id_kp_serverAuth, KeyUsageFlags } from '@peculiar/asn1-x509'

import { MusterError } from '../model/errors.ts'
import { readRequest } from './certificate-request.ts'
import { spkiOf } from './new-key.ts'
import { toPem } from './pem.ts'
import { spkiHash } from './public-key.ts'
import type { RandomBytes } from './serial.ts'
import { newSerial } from './serial.ts'
import type { IssuerIdentity } from './sign-certificate.ts'
import { signCertificate } from './sign-certificate.ts'
import type { Signer } from './signer.ts'

const secondMs = 1000
const dayMs = 86_400_000
const yearDays = 365
/** Clocks of hosts may be behind. */
const backdatedMs = 60_000
const serverLifetimeMs = 7 * dayMs
const signing = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign

/** Who issues: the signer, and what its own certificate says. */
export interface Issuer {
  readonly signer: Signer
  readonly identity: IssuerIdentity
  /** As rows name it. */
  readonly name: string
  readonly notAfter: number
  /** Its certificate and those above it, up to the root, PEM. */
  readonly chainPem: string
}

export interface HostRequest {
  /** PKCS#10, DER or PEM. */
  readonly csr: Buffer | string
  readonly fleetId: string
  readonly backendId: string
  readonly now: number
  /** Seconds. It never outlives its issuer. */
  readonly lifetimeS: number
}

export interface IssuedCertificate {
  /** 32 lower-case hex characters. */
  readonly serial: string
  readonly pem: string
  /** The issuer's certificate and those above it, up to the root. */
  readonly chainPem: string
  /** SHA-256 of the public key, lower-case hex. */
  readonly spkiHash: string
  readonly notBefore: number
  readonly notAfter: number
  readonly issuer: string
}

export interface ServerCertificate {
  /** The certificate and its chain up to the root, PEM: `cert` of a TLS server. */
  readonly certPem: string
  /** PKCS#8, unencrypted: `key` of a TLS server. It is nowhere else. */
  readonly keyPem: string
  readonly notBefore: number
  readonly notAfter: number
}

/** How a fleet's managers name the daemon that they dial, whatever its address. */
export function managersServerName(fleetId: string): string {
  return `managers.${fleetId}.muster.internal`
}

/**
 * A certificate for the connection of one backend.
 * @throws MusterError `invalid-request` for a request that is refused, `authority-unusable` past the issuer's end
 */
export async function issueForHost(
  issuer: Issuer,
  random: RandomBytes,
  { csr, fleetId, backendId, now, lifetimeS }: HostRequest,
): Promise<IssuedCertificate> {
  const { spki, spkiHash: hash } = readRequest(csr)
  // What a SPIFFE id's path may have: an id with a slash would name another's path.
  if (![fleetId, backendId].every((id) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(id))) {
    throw new TypeError(`no certificate can name backend ${backendId} of fleet ${fleetId}`)
  }
  const content = {
    ...validity(issuer, now, lifetimeS * secondMs),
    serial: newSerial(random),
    subject: 'Muster host',
    spki,
    keyUsage: KeyUsageFlags.digitalSignature,
    purposes: [id_kp_clientAuth],
    uris: [`spiffe://${fleetId}/host/${backendId}`],
  }
  const der = await signCertificate(content, issuer.signer, issuer.identity)
  return {
    serial: content.serial,
    pem: toPem('CERTIFICATE', der),
    chainPem: issuer.chainPem,
    spkiHash: hash,
    notBefore: content.notBefore,
    notAfter: content.notAfter,
    issuer: issuer.name,
  }
}

/** A server's certificate for 7 days, with a key that is made here and kept by the caller. */
export async function issueServer(
  issuer: Issuer,
  random: RandomBytes,
  { names, now }: { readonly names: readonly string[]; readonly now: number },
): Promise<ServerCertificate> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const content = {
    ...validity(issuer, now, serverLifetimeMs),
    serial: newSerial(random),
    subject: 'Muster daemon',
    spki: spkiOf(privateKey),
    keyUsage: KeyUsageFlags.digitalSignature,
    purposes: [id_kp_serverAuth],
    dnsNames: names,
  }
  const der = await signCertificate(content, issuer.signer, issuer.identity)
  return {
    certPem: toPem('CERTIFICATE', der) + issuer.chainPem,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    notBefore: content.notBefore,
    notAfter: content.notAfter,
  }
}

/** A root's certificate, for 10 years, PEM. One more authority may stand between it and what is issued. */
export async function issueRoot(signer: Signer, random: RandomBytes, now: number): Promise<string> {
  return issueAuthority(signer, undefined, signer.publicKey, 'Muster root CA', 1, 10 * yearDays, random, now)
}

/** An issuing authority's certificate, for a year, PEM. */
export async function issueIssuing(
  root: Pick<Issuer, 'signer' | 'identity'>,
  publicKey: KeyObject,
  random: RandomBytes,
  now: number,
): Promise<string> {
  return issueAuthority(root.signer, root.identity, publicKey, 'Muster issuing CA', 0, yearDays, random, now)
}

async function issueAuthority(
  signer: Signer,
  identity: IssuerIdentity | undefined,
  publicKey: KeyObject,
  title: string,
  pathLength: number,
  days: number,
  random: RandomBytes,
  now: number,
): Promise<string> {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const content = {
    serial: newSerial(random),
    // A name of its own: two that are trusted at once are told apart by it.
    subject: `${title} ${spkiHash(spki).slice(0, 12)}`,
    spki,
    notBefore: wholeSecond(now - backdatedMs),
    notAfter: wholeSecond(now + days * dayMs),
    pathLength,
    keyUsage: signing,
    purposes: [],
  }
  return toPem('CERTIFICATE', await signCertificate(content, signer, identity))
}

function validity(
  issuer: Issuer,
  now: number,
  lifetimeMs: number,
): { readonly notBefore: number; readonly notAfter: number } {
  const notAfter = wholeSecond(Math.min(now + lifetimeMs, issuer.notAfter))
  if (notAfter <= now) {
    throw new MusterError(
      'authority-unusable',
      `the issuing certificate ${issuer.name} has expired; make the next one with "npx muster ca rotate"`,
    )
  }
  return { notBefore: wholeSecond(now - backdatedMs), notAfter }
}

/** Certificates count in seconds. */
function wholeSecond(ms: number): number {
  return Math.floor(ms / secondMs) * secondMs
}
