import { createPrivateKey, X509Certificate } from 'node:crypto'

import { beforeAll, describe, expect, it } from 'vitest'

import type { Authority } from '../../../src/trust/authority.ts'
import { mostRequestBytes, readRequest } from '../../../src/trust/certificate-request.ts'
import { keyPairAndCsr, requestFor } from '../../../src/trust/new-key.ts'
import { openAuthority } from '../../../src/trust/open-authority.ts'
import { pemToDer, toPem } from '../../../src/trust/pem.ts'
import { authorityFiles, caPassphrase } from '../../support/an-authority.ts'
import { openssl } from '../../support/openssl.ts'

let authority: Authority
beforeAll(async () => {
  const { certificates, keys } = await authorityFiles()
  authority = openAuthority(
    { certificates, keys, passphrase: caPassphrase },
    { now: Date.now(), lifetimeS: 600 },
  )
})

/** A request as openssl makes it. */
function request(key: string, ...args: readonly string[]): string {
  return openssl(['req', '-new', '-key', '@key', '-subj', '/CN=whatever', ...args], { key })
}
const newKey = (...args: readonly string[]): string => openssl(['genpkey', ...args])
const ecKey = (curve: string, ...args: readonly string[]): string =>
  newKey('-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, ...args)
const signed = (csr: Buffer | string) =>
  authority.issueForHost({ csr, fleetId: 'fleet-1', backendId: 'h-1', now: Date.now() })

describe('readRequest', () => {
  it('takes requests with keys on P-256, P-384 and Ed25519, as openssl and as we make them', () => {
    for (const key of [ecKey('P-256'), ecKey('P-384'), newKey('-algorithm', 'ED25519')]) {
      const csr = request(key)
      const { spki, spkiHash } = readRequest(csr)
      expect(toPem('PUBLIC KEY', spki)).toBe(openssl(['req', '-in', '@csr', '-noout', '-pubkey'], { csr }))
      expect(readRequest(pemToDer(csr)).spkiHash).toBe(spkiHash)
    }
    const own = keyPairAndCsr()
    expect(readRequest(own.csrPem).spkiHash).toBe(own.spkiHash)
    expect(openssl(['req', '-in', '@csr', '-noout', '-verify', '-text'], { csr: own.csrPem })).toMatch(
      /verify OK/i,
    )
    expect(requestFor(createPrivateKey(own.privateKeyPem))).not.toBe(own.csrPem)
  })

  const refuses = (what: string, csr: () => Buffer | string, reason: RegExp) =>
    it(`refuses ${what}`, () => {
      const made = csr()
      expect(() => readRequest(made)).toThrow(reason)
      expect(() => readRequest(made)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
    })
  const der = () => pemToDer(keyPairAndCsr().csrPem)

  const kinds = /must have a key on P-256 or P-384/
  refuses('RSA', () => request(newKey('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024')), kinds)
  refuses('a weak curve', () => request(ecKey('P-192')), kinds)
  refuses('a curve that is not ours', () => request(ecKey('P-521')), kinds)
  refuses(
    'a curve written out in parameters',
    () => request(ecKey('P-256', '-pkeyopt', 'ec_param_enc:explicit')),
    kinds,
  )
  refuses(
    'a compressed point, by which a known key would pass for another',
    () => {
      const key = openssl(['ec', '-in', '@key', '-conv_form', 'compressed'], { key: ecKey('P-256') })
      return request(key.slice(key.indexOf('-----')))
    },
    kinds,
  )
  refuses('a signature by another key', () => swapKey(der(), der()), /is not signed with its own key/)
  refuses(
    'a point that is on no curve',
    () => overwriteKey(der(), Buffer.alloc(64, 7)),
    /is not signed with its own key/,
  )
  refuses(
    'a signature that was tampered with',
    () => {
      const bytes = der()
      bytes[bytes.length - 3]! ^= 1
      return bytes
    },
    /is not signed with its own key/,
  )
  refuses('bytes that follow it', () => Buffer.concat([der(), Buffer.of(0)]), /or bytes follow it/)
  refuses('a part of it', () => der().subarray(0, -1), /is not one DER structure/)
  refuses(
    'more than 8 KiB, though all is well signed',
    () => pemToDer(request(ecKey('P-256'), '-addext', `nsComment=${'x'.repeat(mostRequestBytes)}`)),
    /is larger than 8192 bytes/,
  )
  refuses('megabytes of PEM', () => toPem('CERTIFICATE REQUEST', Buffer.alloc(2 ** 20)), /is larger than/)
  refuses('a certificate', () => authority.trusted[0] ?? '', /must be one PEM block/)
  refuses('a certificate as DER', () => pemToDer(authority.trusted[0] ?? ''), /is not a certificate request/)
  refuses('two of them', () => keyPairAndCsr().csrPem + keyPairAndCsr().csrPem, /must be one PEM block/)
  refuses('nothing', () => '', /must be one PEM block/)
  refuses('nothing at all', () => Buffer.alloc(0), /is not one DER structure/)
  refuses('sequences in sequences', () => nested(2_000), /is not a certificate request/)
})

describe('a certificate by a request that asks for more', () => {
  const key = () => ecKey('P-256')
  it.each([
    ['to be an authority', 'basicConstraints=critical,CA:TRUE'],
    ['to sign certificates', 'keyUsage=critical,keyCertSign,cRLSign'],
    [
      'another host’s name',
      'subjectAltName=URI:spiffe://fleet-1/host/h-2,DNS:managers.fleet-1.muster.internal',
    ],
    ['to be a server', 'extendedKeyUsage=serverAuth'],
  ])('does not get %s', async (_, extension) => {
    const csr = request(key(), '-addext', extension)
    expect(openssl(['req', '-in', '@csr', '-noout', '-text'], { csr })).toContain('Requested Extensions')
    const { pem } = await signed(csr)
    const certificate = new X509Certificate(pem)
    expect(certificate.ca).toBe(false)
    expect(certificate.subject).toBe('CN=Muster host')
    expect(certificate.subjectAltName).toBe('URI:spiffe://fleet-1/host/h-1')
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
    const text = openssl(['x509', '-in', '@cert', '-noout', '-text'], { cert: pem })
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/)
    expect(text.match(/X509v3 [A-Z]/g)).toHaveLength(6)
  })
})

/** Where the 64 bytes of a P-256 key's point begin. */
function pointAt(csr: Buffer): number {
  const head = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')
  return csr.indexOf(head) + head.length
}

function overwriteKey(csr: Buffer, point: Buffer): Buffer {
  const bytes = Buffer.from(csr)
  point.copy(bytes, pointAt(bytes))
  return bytes
}

function swapKey(csr: Buffer, other: Buffer): Buffer {
  return overwriteKey(csr, other.subarray(pointAt(other), pointAt(other) + 64))
}

function nested(depth: number): Buffer {
  let inner: Buffer = Buffer.alloc(0)
  for (let level = 0; level < depth; level += 1) {
    const head = inner.length < 128 ? [inner.length] : [0x82, inner.length >> 8, inner.length & 0xff]
    inner = Buffer.concat([Buffer.of(0x30, ...head), inner])
  }
  return inner
}
