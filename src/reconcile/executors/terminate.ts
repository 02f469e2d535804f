import type { HostHandler } from '../../model/host-handler.ts'
import type { FleetStore } from '../../store/fleet-store.ts'
import type { ActionOf, AttemptResult } from '../action-queue.ts'

export interface TerminateDependencies {
  readonly store: Pick<FleetStore, 'readHost' | 'endHost' | 'endAction'>
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  /** Whether the launch's outcome is still open: its machine may yet appear. */
  readonly isLaunchOpen: (launchId: string) => boolean
}

/** How often a machine that is going is looked at, in milliseconds. */
const lookAgainMs = 500

/** End a host's machine; its row ends only once the provider says that the machine is gone. */
export function createTerminateExecutor(dependencies: TerminateDependencies) {
  const { store } = dependencies
  return async (action: ActionOf<'terminate'>, signal: AbortSignal): Promise<AttemptResult> => {
    const hostId = action.target ?? ''
    const host = await store.readHost(hostId)
    if (host === undefined || host.status === 'TERMINATED') {
      await store.endAction(action.id, 'SUCCEEDED')
      return { outcome: 'done', message: 'the host had ended already' }
    }
    if (host.cloudId === null && host.launchId !== null && dependencies.isLaunchOpen(host.launchId)) {
      return { outcome: 'waiting', forMs: lookAgainMs }
    }
    if (host.cloudId !== null) {
      const handler = await dependencies.handlerOf(action.regionId)
      const answers = await handler.terminate([host.cloudId], signal, action.regionId)
      if (answers.get(host.cloudId) !== 'gone') return { outcome: 'waiting', forMs: lookAgainMs }
    }
    const fence = dependencies.fence()
    if (fence === undefined)
      return { outcome: 'failed', code: 'standby', message: 'the lease was lost meanwhile' }
    if (await store.endHost(hostId, fence, null)) return { outcome: 'done' }
    return { outcome: 'failed', code: 'not-stored', message: 'the row is gone, or the lease is' }
  }
}
