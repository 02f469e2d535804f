import type { Lifecycle } from './offering.ts'

/**
 * A host is a machine of a region. Its life, as the database guards it (migration `defences`):
 *
 *   LAUNCHING → PRE_CONNECTION → ACTIVE → DRAINING → TERMINATING → TERMINATED
 *
 * PRE_CONNECTION, ACTIVE and DRAINING may become UNRESPONSIVE and return only to what they were. DRAINING is legal
 * from LAUNCHING on and never returns. Any state may go to TERMINATING, LAUNCHING also straight to TERMINATED.
 */
export const hostStatuses = [
  'LAUNCHING',
  'PRE_CONNECTION',
  'ACTIVE',
  'DRAINING',
  'UNRESPONSIVE',
  'TERMINATING',
  'TERMINATED',
] as const
export type HostStatus = (typeof hostStatuses)[number]

/** What an UNRESPONSIVE host was, and may return to. */
export type HostStatusBefore = 'PRE_CONNECTION' | 'ACTIVE' | 'DRAINING'

const hostTransitions: Readonly<Record<HostStatus, readonly HostStatus[]>> = {
  LAUNCHING: ['PRE_CONNECTION', 'DRAINING', 'TERMINATING', 'TERMINATED'],
  PRE_CONNECTION: ['ACTIVE', 'DRAINING', 'UNRESPONSIVE', 'TERMINATING'],
  ACTIVE: ['DRAINING', 'UNRESPONSIVE', 'TERMINATING'],
  DRAINING: ['UNRESPONSIVE', 'TERMINATING'],
  UNRESPONSIVE: ['DRAINING', 'TERMINATING'],
  TERMINATING: ['TERMINATED'],
  TERMINATED: [],
}

/** Whether the state machine lets a host go from `was` to `becomes`; `before` counts for UNRESPONSIVE only. */
export function hostTransitionIsLegal(
  was: HostStatus,
  becomes: HostStatus,
  before: HostStatusBefore | null = null,
): boolean {
  return hostTransitions[was].includes(becomes) || (was === 'UNRESPONSIVE' && becomes === before)
}

/** The states from which a host may go to `becomes`: the `from` of a guarded update. */
export function hostStatusesBefore(becomes: HostStatus): readonly HostStatus[] {
  return hostStatuses.filter((was) => hostTransitions[was].includes(becomes))
}

/** One row of `fleet.hosts`. Times are milliseconds since the epoch. */
export interface Host {
  readonly id: string
  readonly regionId: string
  readonly provider: string
  /** The provider's own name of the machine; null until it is bound. */
  readonly cloudId: string | null
  readonly launchId: string | null
  readonly imageId: string | null
  readonly version: string
  readonly instanceType: string
  /** '' where the provider has none. */
  readonly zone: string
  readonly lifecycle: Lifecycle
  readonly address: string | null
  /** Agents that the host keeps in all. */
  readonly capacity: number
  readonly status: HostStatus
  readonly statusBefore: HostStatusBefore | null
  readonly statusSince: number
  /** Never scaled down. */
  readonly protected: boolean
  readonly reason: string | null
  readonly heartbeatAt: number | null
  /** When its provider ends the machine, as its manager was told; such a host is DRAINING or further. */
  readonly interruptionAt: number | null
  /** When its provider advised to leave the machine. */
  readonly rebalanceAdvisedAt: number | null
  /** The host that it was launched to replace, as its provider advised. */
  readonly replaces: string | null
  /** Its sessions are told that it drains. */
  readonly notifySessions: boolean
  readonly createdAt: number
  readonly revision: number
}
