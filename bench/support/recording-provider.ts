/** A provider, named by its path, that says when it was called and has its machines at once. */
import type { HostHandler } from '../../src/model/host-handler.ts'
import { machineMs } from './statistics.ts'

export interface LaunchCalled {
  readonly regionId: string
  /** `machineMs` of the call. */
  readonly at: number
}

export const recordingProvider = import.meta.filename

export function createHandler(): HostHandler {
  return {
    launch: async ({ regionId, launchId, count }) => {
      process.send?.({ regionId, at: machineMs() } satisfies LaunchCalled)
      return { cloudIds: Array.from({ length: count }, (_, index) => `${launchId}-${index}`) }
    },
    // No machine is listed: the sweep that would miss them is put off for a day.
    async *list() {
      await Promise.resolve()
      yield* []
    },
    terminate: async (cloudIds) => new Map(cloudIds.map((id) => [id, 'gone'])),
  }
}
