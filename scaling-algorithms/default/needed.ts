import type { Capacity } from '../../src/model/capacity.ts'
import type { RegionSnapshot } from '../../src/model/snapshot.ts'

/** Agents that are to be free: the buffer, one for each user who waits, and one for each whose machine its provider ends. */
export function neededAgents(
  { region, waitingUsers }: Pick<RegionSnapshot, 'region' | 'waitingUsers'>,
  { displaced }: Capacity,
): number {
  return region.targetFreeAgents + waitingUsers + displaced
}
