import type { HostHandler } from '../../src/model/host-handler.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { HandlerContext } from '../handler-context.ts'
import { parseOptions } from '../parse-options.ts'
import { staticOptions } from './options.ts'

/**
 * Machines that people own and that join by themselves (`npx muster join`, docs/managers.md). Nobody can be asked for one
 * more, or to end one: a host ends with its row, and its manager, told to leave, ends what ran there.
 *
 * @throws MusterError `config-invalid` when there are options.
 */
export function createHandler(context: HandlerContext): HostHandler {
  parseOptions('static', staticOptions, context.options)
  return {
    listsMachines: false,
    launch: async (_spec, signal) => {
      await Promise.resolve()
      signal.throwIfAborted()
      throw new LaunchError(
        'insufficient-capacity',
        'machines of a static region join by themselves: see npx muster join',
      )
    },
    async *list(_regionId, signal) {
      await Promise.resolve()
      signal.throwIfAborted()
      yield* []
    },
    terminate: async (cloudIds, signal) => {
      await Promise.resolve()
      signal.throwIfAborted()
      return new Map(cloudIds.map((cloudId) => [cloudId, 'gone']))
    },
  }
}
