/**
 * What people do with backends: one step in the database each, and what follows from it in this process. The rows are
 * the truth (docs/design/backends.md); a socket that has lost its right is cut here at once when this daemon holds it,
 * and by the change's hint in whichever daemon does.
 */
import { randomBytes } from 'node:crypto'

import type { Clock } from '../lib/clock.ts'
import type {
  AgentsAtTermination,
  Backend,
  Certificate,
  RevokeReason,
  TerminateReason,
} from '../model/backend.ts'
import { MusterError } from '../model/errors.ts'
import type {
  AuditEntry,
  BackendChanges,
  BackendFilter,
  NewBackend,
  TrustStore,
} from '../store/trust-store.ts'
import type { Authority } from '../trust/authority.ts'
import { newToken, parseToken } from '../trust/enrolment-token.ts'
import { keyPairAndCsr } from '../trust/new-key.ts'
import { KeyDownloads } from './key-downloads.ts'

/** Certificates and backends. */
interface RightsOf {
  readonly serials: readonly string[]
  readonly backendIds: readonly string[]
}

/** The managers' streams, as far as this needs them; they are empty in a daemon that stands by. */
export interface BackendConnections {
  /** These may have won or lost their right: look again, and cut what holds none any more. */
  rightsChanged(of: RightsOf): Promise<void>
  /** These have lost their right, as the database has answered: cut them now, and read nothing first. */
  rightsTaken(of: RightsOf): void
  /** Why a backend's right is about to be taken, for its manager to be told. */
  terminating(backendId: string, reason: TerminateReason): void
  /** Milliseconds since the epoch; undefined when it is not connected to this daemon. */
  lastHeard(backendId: string): number | undefined
  /** Ask the manager for its platform, and wait for the rows to have it. @throws MusterError `conflict`, `unavailable` */
  askInfo(backendId: string, signal: AbortSignal): Promise<void>
}

export interface BackendsOptions {
  readonly store: TrustStore
  readonly authority: Pick<Authority, 'issueForHost' | 'crl' | 'trusted' | 'pins'>
  /** @throws MusterError `unavailable` before the database was heard */
  readonly fleetId: () => string
  /** Where managers dial. */
  readonly daemons: () => readonly string[]
  readonly connections: BackendConnections
  readonly clock: Clock
}

export interface IssuedCertificate {
  readonly certificate: Certificate
  /** PEM: the certificate, then its issuer. */
  readonly chain: string
  readonly ca: string
  /** Where the key was made here: what opens its download, once. */
  readonly download?: { readonly token: string; readonly expiresAt: number }
}

const askInfoMs = 10_000
const crlMs = 10_000
/** So long an answer waits until it is read again who has a right. */
const lookAgainMs = 50

export class Backends {
  readonly #options: BackendsOptions
  readonly #downloads: KeyDownloads
  #crl: { readonly der: Promise<Buffer>; readonly until: number } | undefined

  constructor(options: BackendsOptions) {
    this.#options = options
    this.#downloads = new KeyDownloads(options.clock)
  }

  create(backend: NewBackend, actor: string): Promise<Backend> {
    return this.#options.store.createBackend(backend, actor)
  }

  list(filter: BackendFilter): Promise<{ readonly total: number; readonly backends: readonly Backend[] }> {
    return this.#options.store.listBackends(filter)
  }

  /** @throws MusterError `not-found` */
  async read(id: string): Promise<Backend & { readonly certificates: readonly Certificate[] }> {
    return (await this.#options.store.readBackend(id)) ?? noSuchBackend(id)
  }

  async update(id: string, changes: BackendChanges, actor: string): Promise<Backend> {
    return (await this.#options.store.updateBackend(id, changes, actor)) ?? noSuchBackend(id)
  }

  /** @throws MusterError `conflict` when it is connected and `force` is not said */
  async remove(id: string, force: boolean, actor: string): Promise<void> {
    if ((await this.#options.store.deleteBackend(id, force, actor)) === undefined) {
      await this.read(id)
      throw new MusterError(
        'conflict',
        `backend ${id} is connected or serves a host: terminate it first, or delete it with force=true`,
      )
    }
    await this.#cut(id)
  }

  /** A token by hand, which lets one manager enrol as this backend. */
  async createToken(
    id: string,
    lifetimeS: number,
    actor: string,
  ): Promise<{ token: string; expiresAt: number }> {
    const token = newToken(randomBytes)
    const { id: tokenId = '', secretHash = '' } = parseToken(token) ?? {}
    const stored = await this.#options.store.createToken(id, { id: tokenId, secretHash, lifetimeS }, actor)
    if (stored === undefined) {
      const { status } = await this.read(id)
      throw new MusterError('conflict', `backend ${id} is ${status}: enable it first`)
    }
    return { token, expiresAt: stored.expiresAt }
  }

  /**
   * @param csr PEM; without one a key is made here and waits for its download.
   * @param renews the serial of a live certificate that this one follows
   * @throws MusterError `invalid-request` for a bad request, `conflict` when the backend may have none, `rate-limited` when it
   *   was renewed less than a minute ago
   */
  async issue(
    id: string,
    { csr, renews = null, actor }: { csr: string | undefined; renews?: string | null; actor: string },
  ): Promise<IssuedCertificate> {
    const { authority, store } = this.#options
    const { status } = await this.read(id)
    const made = csr === undefined ? keyPairAndCsr() : undefined
    const { chainPem, ...issued } = await authority.issueForHost({
      csr: csr ?? made?.csrPem ?? '',
      fleetId: this.#options.fleetId(),
      backendId: id,
      now: this.#options.clock.now(),
    })
    // The key may have had its certificate a moment ago: then that one stands.
    const wanted = { ...issued, keyMadeHere: made !== undefined }
    const certificate = await store.storeCertificate(id, wanted, { renews, actor })
    if (certificate === undefined) throw new MusterError('conflict', refusalOf(id, status, renews))
    const chain = certificate.pem + chainPem
    const ca = this.ca.pem
    if (made === undefined) return { certificate, chain, ca }
    const download = this.#downloads.keep(certificate.serial, { key: made.privateKeyPem, chain, ca })
    return { certificate, chain, ca, download }
  }

  /** The zip with ca.pem, cert.pem and key.pem, once. @throws MusterError `not-found` */
  takeDownload(serial: string, token: string): Buffer {
    return this.#downloads.take(serial, token)
  }

  /** Revokes it, and closes the connection that uses it. */
  async revoke(id: string, serial: string, reason: RevokeReason, actor: string): Promise<Certificate> {
    await this.certificate(id, serial)
    this.#options.connections.terminating(id, 'certificate-revoked')
    const revoked = await this.#options.store.revokeCertificate(serial, reason, actor)
    if (revoked === undefined) throw noSuchCertificate(id, serial)
    // Its backend may have ended with it, or others that came of it: that is read first, so that its manager hears why.
    await this.#lookAgain({ serials: [serial], backendIds: [id] })
    this.#options.connections.rightsTaken({ serials: [serial], backendIds: [] })
    return revoked
  }

  async certificate(id: string, serial: string): Promise<Certificate> {
    const { certificates } = await this.read(id)
    const found = certificates.find((certificate) => certificate.serial === serial)
    if (found === undefined) throw noSuchCertificate(id, serial)
    return found
  }

  /** Stops what runs there; the backend is refused until it is enabled again. Again is no error. */
  async terminate(
    id: string,
    { reason, agents, actor }: { reason: TerminateReason; agents: AgentsAtTermination; actor: string },
  ): Promise<Backend> {
    this.#options.connections.terminating(id, reason)
    const backend =
      (await this.#options.store.terminateBackend(id, reason, agents, actor)) ?? (await this.read(id))
    if (backend.status === 'TERMINATED') await this.#cut(id)
    else await this.#lookAgain({ serials: [], backendIds: [id] })
    return backend
  }

  async enable(id: string, actor: string): Promise<Backend> {
    const enabled = await this.#options.store.enableBackend(id, actor)
    if (enabled === undefined) {
      await this.read(id)
      throw new MusterError(
        'conflict',
        `backend ${id} came with a host that has ended: its successor has its own`,
      )
    }
    await this.#lookAgain({ serials: [], backendIds: [id] })
    return enabled
  }

  /** Bytes as the manager sent them: `{}` when nothing is known. */
  async info(id: string): Promise<Buffer> {
    const info = await this.#options.store.readInfo(id)
    if (info !== undefined) return info
    await this.read(id)
    return Buffer.from('{}')
  }

  /** @throws MusterError `conflict` when the backend is not connected; `unavailable` when it does not answer */
  async refreshInfo(id: string): Promise<Buffer> {
    await this.read(id)
    await this.#options.connections.askInfo(id, AbortSignal.timeout(askInfoMs))
    return this.info(id)
  }

  /** The later of what the rows say and what this daemon heard, milliseconds since the epoch. */
  lastSeen(backend: Backend): number | null {
    const heard = this.#options.connections.lastHeard(backend.id)
    return heard === undefined ? backend.lastSeenAt : Math.max(heard, backend.lastSeenAt ?? 0)
  }

  audit(filter: { backendId?: string; limit: number }): Promise<readonly AuditEntry[]> {
    return this.#options.store.readAudit(filter)
  }

  /** DER. Anybody may ask for it, so it is signed once in a while only, and anew after a revocation here. */
  async crl(): Promise<Buffer> {
    const { store, authority, clock } = this.#options
    const now = clock.now()
    if (this.#crl === undefined || this.#crl.until <= now) {
      const der = store.readRevoked().then(async (revoked) => (await authority.crl(revoked, now)).der)
      const made = { der, until: now + crlMs }
      this.#crl = made
      der.catch(() => {
        if (this.#crl === made) this.#crl = undefined
      })
    }
    return this.#crl.der
  }

  get fleetId(): string {
    return this.#options.fleetId()
  }

  /** Where managers dial. */
  get daemons(): readonly string[] {
    return this.#options.daemons()
  }

  get ca(): { readonly pem: string; readonly pins: readonly string[] } {
    const { trusted, pins } = this.#options.authority
    return { pem: trusted.join(''), pins }
  }

  /** The backend has ended, by its row: nothing of it stays open, though the database be gone by now. */
  async #cut(id: string): Promise<void> {
    const of = { serials: [], backendIds: [id] }
    this.#options.connections.rightsTaken(of)
    // Somebody may have enabled it before the answer was here.
    await this.#lookAgain(of)
  }

  /** The rows are written: what fails here, or takes long, the change's hint does a moment later. */
  async #lookAgain(of: RightsOf): Promise<void> {
    this.#crl = undefined
    const { connections, clock } = this.#options
    const looked = new AbortController()
    const read = connections.rightsChanged(of).catch(() => undefined)
    const patience = clock.sleep(lookAgainMs, looked.signal).catch(() => undefined)
    await Promise.race([read, patience])
    looked.abort()
  }
}

function noSuchBackend(id: string): never {
  throw new MusterError('not-found', `there is no backend ${JSON.stringify(id)}`)
}

function noSuchCertificate(id: string, serial: string): MusterError {
  return new MusterError('not-found', `backend ${id} has no certificate ${JSON.stringify(serial)}`)
}

function refusalOf(id: string, status: string, renews: string | null): string {
  if (status !== 'ENABLED') return `backend ${id} is ${status}: enable it first`
  if (renews !== null) return `certificate ${renews} cannot be renewed: it is revoked, expired or retired`
  return 'another backend, or an older certificate, has this key: make a new one'
}
