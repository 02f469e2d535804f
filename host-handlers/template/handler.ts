/**
 * A provider to start from: copy this folder, put your cloud's SDK in the place of client.ts, and run the contract suite
 * until it passes (docs/writing-a-host-handler.md). It keeps nothing that a restart would lose: what it must know of a
 * machine stands in the machine's tags.
 */
import type { CloudHost, HostHandler, LaunchResult, LaunchSpec } from '../../src/model/host-handler.ts'
import type { HandlerContext } from '../handler-context.ts'
import { parseOptions } from '../parse-options.ts'
import { TemplateCloud } from './client.ts'
import { launchErrorOf } from './errors.ts'
import { templateOptions } from './options.ts'

/** @throws MusterError `config-invalid` with every fault of the options */
export function createHandler(context: HandlerContext): HostHandler {
  // Parse first and connect later: a constructor does nothing.
  const options = parseOptions('template', templateOptions, context.options)
  return createTemplateHandler(new TemplateCloud(options.quota), context)
}

export function createTemplateHandler(
  cloud: TemplateCloud,
  { clock, fleetId }: Pick<HandlerContext, 'clock' | 'fleetId'>,
): HostHandler {
  return {
    // They are a cloud's: without an address of the daemon that leads to it from there, nothing is launched.
    machinesAreElsewhere: true,

    async launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult> {
      signal.throwIfAborted()
      const tags = { fleet: fleetId, region: spec.regionId, launch: spec.launchId }
      try {
        const cloudIds = await cloud.create(spec.token, spec.count, tags, clock.now())
        if (cloudIds.length >= spec.count) return { cloudIds }
        // Fewer than asked for is a result, not an error: these machines exist and cost money.
        const message = `${cloudIds.length} of ${spec.count} machines`
        return { cloudIds, shortfall: { code: 'insufficient-capacity', message } }
      } catch (cause) {
        signal.throwIfAborted()
        throw launchErrorOf(cause)
      }
    },

    // Every machine of this fleet and region, page by page. Throw when a page is missing: what is left out is taken for
    // gone, and its host's row is closed.
    async *list(regionId: string, signal: AbortSignal): AsyncGenerator<CloudHost> {
      for (const machine of await cloud.find({ fleet: fleetId, region: regionId })) {
        signal.throwIfAborted()
        if (machine.isEnded) continue
        const { fleet = '', launch = '' } = machine.tags
        yield { cloudId: machine.id, launchId: launch, fleetId: fleet, startedAt: machine.createdAt }
      }
    },

    // Never ends what is not this fleet's, and says 'gone' only of what has surely ended.
    async terminate(
      cloudIds: readonly string[],
      signal: AbortSignal,
    ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>> {
      signal.throwIfAborted()
      const ours = new Map((await cloud.find({ fleet: fleetId })).map((machine) => [machine.id, machine]))
      const answers = new Map<string, 'accepted' | 'gone'>()
      for (const id of cloudIds) {
        const machine = ours.get(id)
        const isGone = machine === undefined || machine.isEnded
        if (!isGone) await cloud.remove(id)
        answers.set(id, isGone ? 'gone' : 'accepted')
      }
      return answers
    },
  }
}
