import type { KeyObject } from 'node:crypto'
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'

import { AsnConvert } from '@peculiar/asn1-schema'
import { Attributes, CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AlgorithmIdentifier, SubjectPublicKeyInfo } from '@peculiar/asn1-x509'

import { toPem } from './pem.ts'
import { spkiHash } from './public-key.ts'
import { bytesOf, commonName } from './sign-certificate.ts'

export interface KeyAndRequest {
  /** PKCS#8, unencrypted: for a file that only its owner reads, or for one download. */
  readonly privateKeyPem: string
  readonly csrPem: string
  /** SHA-256 of the public key, lower-case hex. */
  readonly spkiHash: string
}

/** A new P-256 key and the request for a certificate of it. */
export function keyPairAndCsr(): KeyAndRequest {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    csrPem: requestFor(privateKey),
    spkiHash: spkiHash(spkiOf(privateKey)),
  }
}

/** A certificate request for a P-256 key, PEM. */
export function requestFor(privateKey: KeyObject): string {
  const info = new CertificationRequestInfo({
    subject: commonName('Muster manager'),
    subjectPKInfo: AsnConvert.parse(spkiOf(privateKey), SubjectPublicKeyInfo),
    attributes: new Attributes(),
  })
  const signature = sign('sha256', Buffer.from(AsnConvert.serialize(info)), privateKey)
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' }),
    signature: bytesOf(signature),
  })
  return toPem('CERTIFICATE REQUEST', Buffer.from(AsnConvert.serialize(request)))
}

/** The public half as SubjectPublicKeyInfo, DER. */
export function spkiOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
}
