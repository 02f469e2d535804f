/**
 * Hosts that are EC2 instances. Each AWS region has its own client with one limiter; the account is that of the
 * daemon's credentials. Whatever is needed to find a machine again is a tag in the call that creates it, so that a crash
 * at any point leaves nothing that the sweep cannot see.
 */
import { LaunchError } from '../../src/model/host-handler.ts'
import type {
  CloudHost,
  HostHandler,
  LaunchResult,
  LaunchSpec,
  LaunchWish,
  ProviderRegion,
} from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/offering.ts'
import type { JsonObject } from '../../src/model/json.ts'
import type { HandlerContext } from '../handler-context.ts'
import { parseOptions } from '../parse-options.ts'
import { checkRegion } from './check.ts'
import { Ec2 } from './client.ts'
import { sendLaunch } from './launch.ts'
import { Machines } from './machines.ts'
import { awsOptions, awsRegionOf } from './options.ts'
import type { AwsOptions } from './options.ts'
import { Place } from './place.ts'

/** @throws MusterError `config-invalid` with every fault of the provider's options */
export function createHandler(context: HandlerContext): HostHandler {
  return new AwsHandler(context, parseOptions('aws', awsOptions, context.options))
}

class AwsHandler implements HostHandler {
  readonly machinesAreElsewhere = true
  readonly #context: HandlerContext
  readonly #options: AwsOptions
  readonly #places = new Map<string, { readonly place: Place; readonly machines: Machines }>()
  readonly #unanswered = new Set<string>()

  constructor(context: HandlerContext, options: AwsOptions) {
    this.#context = context
    this.#options = options
  }

  async offerings(region: ProviderRegion, signal: AbortSignal): Promise<readonly Offering[]> {
    return this.#at(region.id).place.offerings(region, signal)
  }

  async resolve(wish: LaunchWish, region: ProviderRegion, signal: AbortSignal): Promise<JsonObject> {
    const { place } = this.#at(region.id)
    const { metadata_endpoint: metadataEndpoint } = this.#options
    return place.resolve(wish, region, { daemons: this.#context.daemonAddresses(), metadataEndpoint }, signal)
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult> {
    const { place, machines } = this.#at(spec.regionId)
    const { clock, fault } = this.#context
    const { client_tokens: tokens, visibility_s: visibility } = this.#options
    const areTokensKept = tokens === 'honoured'
    const means = {
      machines,
      clock,
      fault,
      areTokensKept,
      visibilityMs: visibility * 1000,
      unanswered: this.#unanswered,
    }
    const result = await sendLaunch({ ...means, ec2: place.ec2, templates: place.templates }, spec, signal)
    this.#unanswered.delete(spec.token)
    return result
  }

  async *list(regionId: string, signal: AbortSignal): AsyncGenerator<CloudHost> {
    const { place, machines } = this.#at(regionId)
    // The sweep comes by: what cannot be removed now is removed when it comes again.
    if (place.makesFleets) {
      await place.templates.removeLeftOvers(this.#context.fleetId, signal).catch(() => undefined)
    }
    yield* machines.list(regionId, signal)
  }

  async label(labels: ReadonlyMap<string, string>, regionId: string, signal: AbortSignal): Promise<void> {
    await this.#at(regionId).machines.label(labels, signal)
  }

  async terminate(
    cloudIds: readonly string[],
    signal: AbortSignal,
    regionId?: string,
  ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>> {
    signal.throwIfAborted()
    if (regionId === undefined) {
      throw new LaunchError('invalid-request', 'an EC2 instance is found only in its region: say which')
    }
    return this.#at(regionId).machines.terminate(cloudIds, signal)
  }

  async check(region: ProviderRegion, signal: AbortSignal): Promise<readonly string[]> {
    const { fleetId, daemonAddresses } = this.#context
    const { metadata_endpoint: metadataEndpoint } = this.#options
    return checkRegion(
      { fleetId, metadataEndpoint, daemons: daemonAddresses(), at: (regionId) => this.#at(regionId) },
      region,
      signal,
    )
  }

  #at(regionId: string): { readonly place: Place; readonly machines: Machines } {
    const name = awsRegionOf(regionId)
    const known = this.#places.get(name)
    if (known !== undefined) return known
    const { clock, environment, fleetId } = this.#context
    const ec2 = new Ec2({ ...this.#options, region: name, environment, clock })
    const made = {
      place: new Place(ec2, clock),
      machines: new Machines({
        ec2,
        clock,
        fleetId,
        pageSize: this.#options.page_size,
        visibilityMs: this.#options.visibility_s * 1000,
      }),
    }
    this.#places.set(name, made)
    return made
  }
}
