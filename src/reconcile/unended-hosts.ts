import type { TerminateDecision } from '../model/decision.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'

/**
 * Hosts that somebody set TERMINATING, a person or the termination of their backend, and that nothing ends yet. A turn
 * that decides so itself stores the row and its action in one commit, and the action is known before the row is seen.
 */
export function unendedHosts(
  snapshot: Pick<RegionSnapshot, 'hosts'>,
  isTerminationOpen: (hostId: string) => boolean,
): readonly TerminateDecision[] {
  return snapshot.hosts
    .filter((host) => host.status === 'TERMINATING' && !isTerminationOpen(host.id))
    .map(({ id: hostId, reason }) => ({
      kind: 'terminate',
      hostId,
      reason: `it is TERMINATING${reason === null ? '' : ` (${reason})`}, and nothing ends it yet`,
    }))
}
