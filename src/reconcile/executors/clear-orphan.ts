import type { HostHandler } from '../../model/host-handler.ts'
import type { FleetStore } from '../../store/fleet-store.ts'
import type { ActionOf, AttemptResult } from '../action-queue.ts'

export interface ClearOrphanDependencies {
  readonly store: Pick<FleetStore, 'endAction'>
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
}

const lookAgainMs = 500

/** End a machine of this fleet that no row stands for. */
export function createClearOrphanExecutor({ store, handlerOf }: ClearOrphanDependencies) {
  return async (action: ActionOf<'clear-orphan'>, signal: AbortSignal): Promise<AttemptResult> => {
    const cloudId = action.target ?? ''
    const handler = await handlerOf(action.regionId)
    const answers = await handler.terminate([cloudId], signal, action.regionId)
    if (answers.get(cloudId) !== 'gone') return { outcome: 'waiting', forMs: lookAgainMs }
    await store.endAction(action.id, 'SUCCEEDED')
    return { outcome: 'done' }
  }
}
