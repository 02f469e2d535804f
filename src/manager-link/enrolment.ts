/**
 * A token and a certificate request become a certificate. Two steps in the database, each of which answers a repeat
 * with the same key alike, so whoever lost the answer asks again: nothing is issued twice, nothing is lost.
 */
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import type { TrustStore } from '../store/trust-store.ts'
import type { AllowList } from '../trust/allow-list.ts'
import type { Authority } from '../trust/authority.ts'
import { readRequest } from '../trust/certificate-request.ts'
import { parseToken } from '../trust/enrolment-token.ts'
import type { IssuedCertificate } from '../trust/issue.ts'

export interface EnrolmentOptions {
  readonly store: Pick<TrustStore, 'redeemToken' | 'storeCertificate'>
  readonly authority: () => Pick<Authority, 'issueForHost' | 'trusted'>
  readonly allowList: Pick<AllowList, 'reading'>
  /** Reads anew what of these has a right, into the allow-list. @throws MusterError as the store does */
  readonly rightsChanged: (of: {
    readonly serials: readonly string[]
    readonly backendIds: readonly string[]
  }) => Promise<void>
  /** The fencing number of the lease; undefined while this daemon stands by. */
  readonly fence: () => number | undefined
  readonly fleetId: () => string
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
  readonly fault: FaultPoint
}

export interface EnrolmentRequest {
  readonly token: string
  readonly cloudId: string
  readonly address: string
  /** PEM. */
  readonly csr: string
}

export interface Enrolled {
  readonly backendId: string
  /** PEM: the certificate, then those above it. */
  readonly certificate: string
  /** PEM: what the daemon's own certificate may chain to. */
  readonly ca: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** `standby` is for now, `refused` for ever and says why. */
export type EnrolmentAnswer =
  Enrolled | 'standby' | { readonly refused: string; readonly tokenId?: string; readonly backendId?: string }

/**
 * Why not is for the log alone: who holds no good token learns nothing.
 * @throws MusterError `invalid-request` for a bad certificate request; as the store and the authority do
 */
export async function enrol(options: EnrolmentOptions, request: EnrolmentRequest): Promise<EnrolmentAnswer> {
  const { store, logger, fault } = options
  const fence = options.fence()
  if (fence === undefined) return 'standby'
  const token = parseToken(request.token)
  if (token === undefined) return { refused: 'no token' }
  const { spkiHash } = readRequest(request.csr)
  const { cloudId, address } = request
  fault('enrol.before-redeem')
  const redemption = { tokenId: token.id, secretHash: token.secretHash, spkiHash, cloudId, address }
  const backend = await store.redeemToken(redemption, fence)
  if (backend === undefined) return { refused: 'token refused', tokenId: token.id }
  fault('enrol.after-redeem')
  const stored = await certify(options, {
    csr: request.csr,
    backendId: backend.id,
    renews: null,
    actor: `token:${token.id}`,
  })
  if (stored === undefined) {
    return { refused: 'no certificate', tokenId: token.id, backendId: backend.id }
  }
  fault('enrol.after-store')
  logger.info(
    { backendId: backend.id, tokenId: token.id, cloudId, serial: stored.serial },
    'manager enrolled',
  )
  return { backendId: backend.id, ...stored }
}

/**
 * Issues a certificate and stores it; gives the one that stands: the key's earlier one, when it had one a moment ago.
 * undefined: the backend may have none.
 */
export async function certify(
  options: Pick<
    EnrolmentOptions,
    'store' | 'authority' | 'allowList' | 'rightsChanged' | 'fleetId' | 'clock'
  >,
  wanted: {
    readonly csr: string
    readonly backendId: string
    /** The serial that it follows; null for a first one. */
    readonly renews: string | null
    readonly actor: string
  },
): Promise<(Omit<Enrolled, 'backendId'> & { readonly serial: string }) | undefined> {
  const { store, allowList, fleetId, clock } = options
  const { csr, backendId, renews, actor } = wanted
  const authority = options.authority()
  const issued = await authority.issueForHost({ csr, backendId, fleetId: fleetId(), now: clock.now() })
  const reading = allowList.reading()
  const stored = await store.storeCertificate(backendId, rowOf(issued), { renews, actor })
  if (stored === undefined) return undefined
  const { serial, notAfter, retiresAt, pem } = stored
  // Its holder dials at once: the change's hint may come later.
  const passedOver = reading.apply([{ serial, backendId, notAfter, retiresAt }])
  // The backend may have lost its right since. Where this fails, the list is read whole at the database's return.
  if (passedOver.length > 0) {
    await options.rightsChanged({ serials: passedOver, backendIds: [] }).catch(() => undefined)
  }
  return {
    serial,
    certificate: `${pem.trimEnd()}\n${issued.chainPem}`,
    ca: authority.trusted.map((each) => `${each.trimEnd()}\n`).join(''),
    expiresAt: notAfter,
  }
}

function rowOf({ serial, spkiHash, issuer, pem, notBefore, notAfter }: IssuedCertificate) {
  return { serial, spkiHash, issuer, pem, notBefore, notAfter }
}
