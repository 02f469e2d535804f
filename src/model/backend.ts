/**
 * A backend is the trusted identity of a manager (docs/design/backends.md). Its life, as the database guards it:
 *
 *   ENABLED → TERMINATING → TERMINATED, ENABLED → TERMINATED, and back to ENABLED by a person's wish
 */
export const backendStatuses = ['ENABLED', 'TERMINATING', 'TERMINATED'] as const
export type BackendStatus = (typeof backendStatuses)[number]

const backendTransitions: Readonly<Record<BackendStatus, readonly BackendStatus[]>> = {
  ENABLED: ['TERMINATING', 'TERMINATED'],
  TERMINATING: ['TERMINATED', 'ENABLED'],
  TERMINATED: ['ENABLED'],
}

/** Whether the state machine lets a backend go from `was` to `becomes`. */
export function backendTransitionIsLegal(was: BackendStatus, becomes: BackendStatus): boolean {
  return backendTransitions[was].includes(becomes)
}

/** Why a certificate was revoked. */
export const revokeReasons = [
  'certificate-revoked',
  'superseded',
  'user',
  'host-terminated',
  'deleted',
] as const
export type RevokeReason = (typeof revokeReasons)[number]

/** Why a backend was terminated; the seed's types 0 and 1 are the first two. */
export const terminateReasons = ['certificate-revoked', 'user', 'host-terminated'] as const
export type TerminateReason = (typeof terminateReasons)[number]

/** What becomes of the agents of a backend that is terminated. */
export type AgentsAtTermination = 'kill' | 'drain'

/** One row of `fleet.backends`. Times are milliseconds since the epoch. */
export interface Backend {
  readonly id: string
  readonly name: string
  readonly description: string
  /** Where users reach its agents: a name or an IP address, without a port; empty until it is known. */
  readonly address: string
  readonly status: BackendStatus
  readonly reason: TerminateReason | null
  /** Null for a backend that was made by hand. */
  readonly launchId: string | null
  /** Where a backend that was made by hand gets its hosts; null: nowhere. */
  readonly regionId: string | null
  /** Its current host. */
  readonly hostId: string | null
  /** Since when it is connected; null when it is not. */
  readonly connectedAt: number | null
  readonly connectedSerial: string | null
  readonly lastSeenAt: number | null
  /** When it last told of its platform. */
  readonly infoAt: number | null
  readonly createdAt: number
  readonly revision: number
}

/** One row of `fleet.certificates`. Times are milliseconds since the epoch. */
export interface Certificate {
  /** 32 lower-case hex characters. */
  readonly serial: string
  /** Null once its backend is deleted. */
  readonly backendId: string | null
  /** SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hex. */
  readonly spkiHash: string
  readonly issuer: string
  readonly pem: string
  readonly notBefore: number
  readonly notAfter: number
  readonly firstUsedAt: number | null
  /** From then on it opens no door: a younger one is in use. */
  readonly retiresAt: number | null
  readonly revokedAt: number | null
  readonly revokeReason: RevokeReason | null
  readonly createdAt: number
}
