/**
 * Who is let in at the managers' port, and why not: a pure function of what the handshake showed. ALPN says what a peer
 * wants: `h2` is the managers' service, `muster-enrol/1` the one route for who has a token instead of a certificate.
 */
import type { AllowedCertificate, NotAllowed } from './allow-list.ts'

export const alpn = { managers: 'h2', enrolment: 'muster-enrol/1' } as const

/** Stable: logs, metrics and tests name them. */
export type PeerRefusal =
  | 'protocol-unknown'
  | 'tls-too-old'
  | 'certificate-missing'
  | 'certificate-expired'
  | 'certificate-not-yet-valid'
  | 'certificate-wrong-purpose'
  | 'certificate-foreign'
  | 'certificate-invalid'
  | 'certificate-of-another'
  | 'issuer-retired'
  | `serial-${NotAllowed}`

export interface Peer {
  /** `tlsSocket.alpnProtocol`. */
  readonly alpn: string | false | null
  /** `tlsSocket.getProtocol()`. */
  readonly tlsVersion: string | null
  /** `tlsSocket.authorized`: OpenSSL's verdict on chain, dates and purpose at the handshake; of a resumed session, at the first. */
  readonly authorized: boolean
  /** `tlsSocket.authorizationError`. */
  readonly authorizationError?: unknown
  readonly hasCertificate: boolean
  /** `X509Certificate.subjectAltName` of its certificate. */
  readonly names?: string | undefined
  readonly fleetId: string
  /** `Authority.isIssuerOf` of its certificate: one of the issuing certificates of today signed it. */
  readonly isIssuerTrusted: boolean
  /** `AllowList.lookup` of its serial. */
  readonly allowed: AllowedCertificate | NotAllowed
}

export type PeerVerdict =
  | { readonly admit: 'managers'; readonly certificate: AllowedCertificate }
  | { readonly admit: 'enrolment' }
  | { readonly refuse: PeerRefusal }

const refusalOfError: ReadonlyMap<string, PeerRefusal> = new Map([
  ['CERT_HAS_EXPIRED', 'certificate-expired'],
  ['CERT_NOT_YET_VALID', 'certificate-not-yet-valid'],
  ['INVALID_PURPOSE', 'certificate-wrong-purpose'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate-foreign'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate-foreign'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'certificate-foreign'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate-foreign'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate-foreign'],
])

/** Refused unless everything speaks for it. Who enrols needs no certificate, and gains nothing by one. */
export function judgePeer(peer: Peer): PeerVerdict {
  if (peer.tlsVersion !== 'TLSv1.3') return { refuse: 'tls-too-old' }
  if (peer.alpn === alpn.enrolment) return { admit: 'enrolment' }
  if (peer.alpn !== alpn.managers) return { refuse: 'protocol-unknown' }
  if (!peer.hasCertificate) return { refuse: 'certificate-missing' }
  if (!peer.authorized)
    return { refuse: refusalOfError.get(codeOf(peer.authorizationError)) ?? 'certificate-invalid' }
  if (!peer.isIssuerTrusted) return { refuse: 'issuer-retired' }
  if (typeof peer.allowed === 'string') return { refuse: `serial-${peer.allowed}` }
  // Who writes rows may give any backend any serial, but signs nothing.
  const name = `URI:spiffe://${peer.fleetId}/host/${peer.allowed.backendId}`
  if (peer.names !== name) return { refuse: 'certificate-of-another' }
  return { admit: 'managers', certificate: peer.allowed }
}

/** Node gives a code, or an error that has one. */
function codeOf(error: unknown): string {
  if (typeof error === 'string') return error
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.message
  return ''
}
