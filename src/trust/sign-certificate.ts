/** One certificate, encoded and signed. What is in it, `issue.ts` decides. */
import { createHash } from 'node:crypto'

import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

import type { Signer } from './signer.ts'
import { signatureAlgorithmOf } from './signer.ts'

export interface CertificateContent {
  /** Lower-case hex. */
  readonly serial: string
  /** The common name. */
  readonly subject: string
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** Milliseconds since the epoch; whole seconds are kept. */
  readonly notBefore: number
  readonly notAfter: number
  /** Certificates that may stand below this one; undefined: it is no authority. */
  readonly pathLength?: number
  /** Flags of KeyUsage. */
  readonly keyUsage: number
  /** Object identifiers of ExtendedKeyUsage; none: the extension is left out. */
  readonly purposes: readonly string[]
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
}

/** Who signs: the subject and key identifier of its own certificate. */
export interface IssuerIdentity {
  readonly name: Name
  readonly keyId: Buffer
}

/** The certificate, DER. Without an issuer it is self-signed. */
export async function signCertificate(
  content: CertificateContent,
  signer: Signer,
  issuer?: IssuerIdentity,
): Promise<Buffer> {
  const algorithm = signatureAlgorithmOf(signer.publicKey)
  if (algorithm === undefined) throw new TypeError('an authority signs with P-256 or P-384')
  const signature = new AlgorithmIdentifier({ algorithm: algorithm.oid })
  const subject = commonName(content.subject)
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: bytesOf(Buffer.from(content.serial, 'hex')),
    signature,
    issuer: issuer?.name ?? subject,
    validity: new Validity({ notBefore: new Date(content.notBefore), notAfter: new Date(content.notAfter) }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(content.spki, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(content, issuer?.keyId ?? keyIdOf(content.spki))),
  })
  const tbs = Buffer.from(AsnConvert.serialize(tbsCertificate))
  const signatureValue = bytesOf(await signer.sign(tbs))
  return Buffer.from(
    AsnConvert.serialize(new Certificate({ tbsCertificate, signatureAlgorithm: signature, signatureValue })),
  )
}

/** What an issuer's own certificate says of it. */
export function issuerIdentityOf(certificateDer: Buffer): IssuerIdentity {
  const { tbsCertificate } = AsnConvert.parse(certificateDer, Certificate)
  const extension = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_subjectKeyIdentifier)
  const keyId =
    extension === undefined
      ? keyIdOf(Buffer.from(AsnConvert.serialize(tbsCertificate.subjectPublicKeyInfo)))
      : Buffer.from(AsnConvert.parse(extension.extnValue.buffer, SubjectKeyIdentifier).buffer)
  return { name: tbsCertificate.subject, keyId }
}

export function commonName(text: string): Name {
  return new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({ type: '2.5.4.3', value: new AttributeValue({ utf8String: text }) }),
    ]),
  ])
}

function extensionsOf(content: CertificateContent, issuerKeyId: Buffer): Extension[] {
  const { pathLength, purposes, uris = [], dnsNames = [] } = content
  const names = [
    ...uris.map((uri) => new GeneralName({ uniformResourceIdentifier: uri })),
    ...dnsNames.map((name) => new GeneralName({ dNSName: name })),
  ]
  return [
    extension(
      id_ce_basicConstraints,
      new BasicConstraints(pathLength === undefined ? {} : { cA: true, pathLenConstraint: pathLength }),
      true,
    ),
    extension(id_ce_keyUsage, new KeyUsage(content.keyUsage), true),
    ...(purposes.length === 0 ? [] : [extension(id_ce_extKeyUsage, new ExtendedKeyUsage([...purposes]))]),
    ...(names.length === 0 ? [] : [extension(id_ce_subjectAltName, new SubjectAlternativeName(names))]),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(bytesOf(keyIdOf(content.spki)))),
    extension(
      id_ce_authorityKeyIdentifier,
      new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(bytesOf(issuerKeyId)) }),
    ),
  ]
}

function extension(oid: string, value: unknown, critical = false): Extension {
  return new Extension({ extnID: oid, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })
}

/** RFC 7093, method 1: the first 160 bits of SHA-256. */
function keyIdOf(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20)
}

/** An ArrayBuffer of its own: a Buffer is often a window of a larger one. */
export function bytesOf(bytes: Buffer): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
