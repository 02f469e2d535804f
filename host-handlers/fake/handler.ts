import type { HostHandler } from '../../src/model/host-handler.ts'
import type { HandlerContext } from '../handler-context.ts'
import { parseOptions } from '../parse-options.ts'
import { FakeCloud } from './cloud.ts'
import { fakeOptions } from './options.ts'

/** A cloud of its own, for dry runs: its machines exist in memory and run nothing. */
export function createHandler(context: HandlerContext): HostHandler {
  const options = parseOptions('fake', fakeOptions, context.options)
  const cloud = new FakeCloud({
    clock: context.clock,
    quota: options.quota,
    launchMs: options.launch_ms,
    terminateMs: options.terminate_ms,
  })
  return createFakeHandler(cloud, context.fleetId)
}

/** One fleet's door to a cloud that a test holds. */
export function createFakeHandler(cloud: FakeCloud, fleetId: string): HostHandler {
  const { offerings } = cloud
  return {
    ...(offerings === undefined ? {} : { offerings: () => Promise.resolve(offerings) }),
    launch: async (spec, signal) => {
      if (spec.isRepeat !== true || cloud.keepsTokens) return await cloud.launch(spec, signal)
      // Nobody remembers the token: what was made before is looked for, once it can be seen.
      await cloud.untilShown(signal)
      const machines = cloud.list(spec.regionId, fleetId, signal)
      const cloudIds = machines
        .filter(({ launchId }) => launchId === spec.launchId)
        .map(({ cloudId }) => cloudId)
      return cloudIds.length > 0 ? { cloudIds } : await cloud.launch(spec, signal)
    },
    async *list(regionId, signal) {
      // Pages arrive later than they are asked for.
      await Promise.resolve()
      yield* cloud.list(regionId, fleetId, signal)
    },
    terminate: async (cloudIds, signal) => {
      await Promise.resolve()
      return cloud.terminate(cloudIds, fleetId, signal)
    },
  }
}
