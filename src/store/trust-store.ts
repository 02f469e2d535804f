import type {
  AgentsAtTermination,
  Backend,
  BackendStatus,
  Certificate,
  RevokeReason,
  TerminateReason,
} from '../model/backend.ts'
import type { Host } from '../model/host.ts'

/**
 * Backends, certificates and tokens, in fleet words: the functions of docs/design/backends.md. An answer of `undefined`
 * is the database's no. `actor` is who asked, for the audit.
 *
 * Every call may throw MusterError `database-unavailable` (retryable) or `database-refused`.
 */
export interface TrustStore {
  /** Every live certificate. */
  readAllowed(): Promise<readonly AllowedRow[]>
  /** Those of these serials, and of the certificates of these backends, that are live. */
  readAllowedOf(of: {
    serials: readonly string[]
    backendIds: readonly string[]
  }): Promise<readonly AllowedRow[]>
  /** Revoked and not expired, for the CRL; in order of serial. */
  readRevoked(): Promise<
    readonly { readonly serial: string; readonly revokedAt: number; readonly reason: string }[]
  >

  createToken(
    backendId: string,
    token: NewToken,
    actor: string,
  ): Promise<{ readonly expiresAt: number } | undefined>
  redeemToken(redemption: Redemption, fence: number): Promise<Backend | undefined>
  /**
   * The certificate that stands afterwards: the one given, or the one that its key got within 5 minutes.
   * @throws MusterError `rate-limited` when its backend was renewed a moment ago
   */
  storeCertificate(
    backendId: string,
    certificate: NewCertificate,
    options: { readonly renews: string | null; readonly actor: string },
  ): Promise<Certificate | undefined>

  connectBackend(
    serial: string,
    manager: { readonly address: string; readonly capacity: number },
    fence: number,
  ): Promise<{ readonly backend: Backend; readonly host: Host | undefined } | undefined>
  /** `undefined`: all of them. A backend that has connected again meanwhile must not be among them: calls may overtake. */
  disconnectBackends(backendIds: readonly string[] | undefined, fence: number): Promise<void>
  /** Backend id to the time it was last heard, milliseconds since the epoch. */
  flushBackends(beats: ReadonlyMap<string, number>, fence: number): Promise<void>
  reportInfo(backendId: string, info: Buffer, fence: number): Promise<boolean>

  createBackend(backend: NewBackend, actor: string): Promise<Backend>
  updateBackend(id: string, changes: BackendChanges, actor: string): Promise<Backend | undefined>
  /** Newest first. */
  listBackends(
    filter: BackendFilter,
  ): Promise<{ readonly total: number; readonly backends: readonly Backend[] }>
  readBackend(id: string): Promise<(Backend & { readonly certificates: readonly Certificate[] }) | undefined>
  /** The bytes as they were reported; undefined when nothing is known. */
  readInfo(id: string): Promise<Buffer | undefined>
  revokeCertificate(serial: string, reason: RevokeReason, actor: string): Promise<Certificate | undefined>
  terminateBackend(
    id: string,
    reason: TerminateReason,
    agents: AgentsAtTermination,
    actor: string,
  ): Promise<Backend | undefined>
  enableBackend(id: string, actor: string): Promise<Backend | undefined>
  /** undefined: there is none, or it is connected or its host stands and `force` is not said. */
  deleteBackend(id: string, force: boolean, actor: string): Promise<{ readonly id: string } | undefined>
  /** Newest first. */
  readAudit(filter: { backendId?: string; limit: number }): Promise<readonly AuditEntry[]>
}

/** One entry of the allow-list. Times are milliseconds since the epoch. */
export interface AllowedRow {
  readonly serial: string
  readonly backendId: string
  readonly notAfter: number
  readonly retiresAt: number | null
}

export interface NewToken {
  readonly id: string
  /** SHA-256 of the secret, lower-case hex. */
  readonly secretHash: string
  readonly lifetimeS: number
}

export interface Redemption {
  readonly tokenId: string
  readonly secretHash: string
  readonly spkiHash: string
  /** The provider's name of the machine; empty for a backend that joins by itself. */
  readonly cloudId: string
  readonly address: string
}

/** Times are milliseconds since the epoch. */
export interface NewCertificate {
  readonly serial: string
  readonly spkiHash: string
  readonly issuer: string
  readonly pem: string
  readonly notBefore: number
  readonly notAfter: number
  /** The private key was made by this daemon and is handed out: goes on record. */
  readonly keyMadeHere?: boolean
}

export interface NewBackend {
  readonly name: string
  readonly description: string
  readonly address: string
  readonly regionId: string | null
}
export type BackendChanges = Partial<Pick<Backend, 'name' | 'description' | 'address'>>

export interface BackendFilter {
  readonly limit: number
  readonly offset: number
  readonly status?: BackendStatus
  readonly isConnected?: boolean
  /** Part of the name, whatever its case. */
  readonly name?: string
}

export interface AuditEntry {
  readonly at: number
  readonly actor: string
  readonly act: string
  readonly backendId: string | null
  readonly serial: string | null
  readonly details: Readonly<Record<string, unknown>>
}
