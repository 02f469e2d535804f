import { describe, expect, it } from 'vitest'

import type { Peer } from '../../../src/trust/judge-peer.ts'
import { judgePeer } from '../../../src/trust/judge-peer.ts'
import { renewAt } from '../../../src/trust/renewal.ts'

const certificate = { serial: '5'.repeat(32), backendId: 'h-1', notAfter: 1 }
const aPeer = (change: Partial<Peer> = {}): Peer => ({
  alpn: 'h2',
  tlsVersion: 'TLSv1.3',
  authorized: true,
  hasCertificate: true,
  names: 'URI:spiffe://f/host/h-1',
  fleetId: 'f',
  isIssuerTrusted: true,
  allowed: certificate,
  ...change,
})

describe('judgePeer', () => {
  it('lets a manager in whose certificate is good and live', () => {
    expect(judgePeer(aPeer())).toEqual({ admit: 'managers', certificate })
  })

  it('lets anybody talk to enrolment, and only there', () => {
    const stranger = {
      authorized: false,
      hasCertificate: false,
      isIssuerTrusted: false,
      allowed: 'not-loaded',
    } as const
    expect(judgePeer(aPeer({ ...stranger, alpn: 'muster-enrol/1' }))).toEqual({ admit: 'enrolment' })
    expect(judgePeer(aPeer({ alpn: 'muster-enrol/1' }))).toEqual({ admit: 'enrolment' })
    expect(judgePeer(aPeer(stranger))).toEqual({ refuse: 'certificate-missing' })
  })

  it.each<[string, Partial<Peer>]>([
    ['protocol-unknown', { alpn: 'http/1.1' }],
    ['protocol-unknown', { alpn: false }],
    ['protocol-unknown', { alpn: null }],
    ['tls-too-old', { tlsVersion: 'TLSv1.2' }],
    ['tls-too-old', { tlsVersion: null }],
    ['tls-too-old', { tlsVersion: 'TLSv1.2', alpn: 'muster-enrol/1' }],
    ['certificate-missing', { hasCertificate: false }],
    ['certificate-expired', { authorized: false, authorizationError: 'CERT_HAS_EXPIRED' }],
    ['certificate-not-yet-valid', { authorized: false, authorizationError: 'CERT_NOT_YET_VALID' }],
    ['certificate-wrong-purpose', { authorized: false, authorizationError: 'INVALID_PURPOSE' }],
    ['certificate-foreign', { authorized: false, authorizationError: 'SELF_SIGNED_CERT_IN_CHAIN' }],
    ['certificate-foreign', { authorized: false, authorizationError: 'UNABLE_TO_GET_ISSUER_CERT' }],
    [
      'certificate-foreign',
      {
        authorized: false,
        authorizationError: Object.assign(new Error('x'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
      },
    ],
    ['certificate-invalid', { authorized: false }],
    ['certificate-invalid', { authorized: false, authorizationError: 'constructor' }],
    ['issuer-retired', { isIssuerTrusted: false }],
    ['certificate-of-another', { names: 'URI:spiffe://f/host/h-2' }],
    ['certificate-of-another', { names: 'URI:spiffe://g/host/h-1' }],
    ['certificate-of-another', { names: 'URI:spiffe://f/host/h-1, URI:spiffe://f/host/h-2' }],
    ['certificate-of-another', { names: undefined }],
    ['serial-unknown', { allowed: 'unknown' }],
    ['serial-expired', { allowed: 'expired' }],
    ['serial-not-loaded', { allowed: 'not-loaded' }],
  ])('refuses with %s: %j', (refuse, change) => {
    expect(judgePeer(aPeer(change))).toEqual({ refuse })
  })
})

it('renews at two thirds of a certificate’s life, a tenth earlier or later', () => {
  const day = 86_400_000
  expect(renewAt(0, day, () => 0.5)).toBe((day * 2) / 3)
  expect(renewAt(0, day, () => 0)).toBe(day * 0.6)
  expect(renewAt(1000, 1000 + day, () => 1)).toBe(1000 + Math.round(day * (2 / 3) * 1.1))
})
