import type { FleetStore } from '../store/fleet-store.ts'
import type { HasuraClient } from './client.ts'
import { createHostWrites } from './host-writes.ts'
import { createReads } from './region-reads.ts'
import { createRolloutStore } from './rollout-store.ts'
import { createSessionWrites } from './session-writes.ts'
import { createSweepReads } from './sweep-reads.ts'
import { createTurnWrites } from './turn-writes.ts'

/** The FleetStore over Hasura's API. */
export function createHasuraStore(client: HasuraClient, now: () => number): FleetStore {
  return {
    ...createReads(client),
    ...createTurnWrites(client, now),
    ...createSweepReads(client),
    ...createSessionWrites(client, now),
    ...createHostWrites(client),
    ...createRolloutStore(client),
  }
}
