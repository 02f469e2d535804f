/** One AWS region as this fleet sees it: what it offers, and what a launch there would be, exactly. */
import type { Clock } from '../../src/lib/clock.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchWish, ProviderRegion } from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/offering.ts'
import type { JsonObject } from '../../src/model/json.ts'
import type { Ec2 } from './client.ts'
import { findImage } from './image.ts'
import type { MachineImage } from './image.ts'
import { agentsOn, InstanceTypes } from './instance-types.ts'
import { findSecurityGroups, findSubnets } from './network.ts'
import { parseRegionOptions } from './options.ts'
import type { AwsRegionOptions } from './options.ts'
import { Remembered } from './remembered.ts'
import { requestOf } from './request.ts'
import type { RequestParts } from './request.ts'

/** How long what people change by hand (images, networks) is taken to be as it was, in milliseconds. */
const rememberForMs = 60_000

export class Place {
  readonly ec2: Ec2
  readonly #types: InstanceTypes
  readonly #subnets: Remembered<Awaited<ReturnType<typeof findSubnets>>>
  readonly #groups: Remembered<readonly string[]>
  readonly #images: Remembered<MachineImage>

  constructor(ec2: Ec2, clock: Clock) {
    this.ec2 = ec2
    this.#types = new InstanceTypes(ec2, clock)
    this.#subnets = new Remembered(clock, rememberForMs)
    this.#groups = new Remembered(clock, rememberForMs)
    this.#images = new Remembered(clock, rememberForMs)
  }

  /**
   * All of one lifecycle before the next; within it each type in each zone before the next type.
   *
   * @throws LaunchError `invalid-request` when there are none
   */
  async offerings(region: ProviderRegion, signal: AbortSignal): Promise<readonly Offering[]> {
    const options = parseRegionOptions(region)
    if (region.instanceTypes.length === 0) {
      throw new LaunchError(
        'invalid-request',
        `region ${region.id} names no instance types: set instance_types`,
      )
    }
    const types = await this.#types.facts(region.instanceTypes, signal)
    const zones = await this.#zonesOf(options, signal)
    const offerings: Offering[] = []
    for (const lifecycle of options.lifecycles) {
      for (const type of types) {
        const agents = region.agentsPerHost ?? agentsOn(type, options)
        if (agents < 1 || !type.lifecycles.includes(lifecycle)) continue
        const offeredIn = await this.#types.zonesOf(type.name, signal)
        for (const zone of zones) {
          if (offeredIn.has(zone)) offerings.push({ instanceType: type.name, zone, lifecycle, agents })
        }
      }
    }
    if (offerings.length > 0) return offerings
    throw new LaunchError(
      'invalid-request',
      `none of ${region.instanceTypes.join(', ')} is offered ${options.lifecycles.join(' or ')} in ` +
        `${zones.join(', ')} and large enough for one agent: mend instance_types, zones or agent_needs`,
    )
  }

  /** The exact request of a launch. */
  async resolve(
    wish: LaunchWish,
    region: ProviderRegion,
    home: Pick<RequestParts, 'daemons' | 'metadataEndpoint'>,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const options = parseRegionOptions(region)
    const offering = wish.offering ?? (await this.offerings(region, signal))[0]
    if (offering === undefined) throw new LaunchError('invalid-request', 'the region offers nothing')
    const [type] = await this.#types.facts([offering.instanceType], signal)
    const subnet = (await this.#subnetsOf(options, signal)).get(offering.zone)
    if (type === undefined || subnet === undefined) {
      throw new LaunchError('invalid-request', `no subnet of the region is in zone ${offering.zone}`)
    }
    return requestOf({
      wish,
      offering,
      options,
      region: this.ec2.region,
      subnetId: subnet.id,
      securityGroupIds: await this.#securityGroups(options, subnet.vpc, signal),
      image: await this.image(wish.image, signal),
      type,
      ...home,
    })
  }

  image(id: string, signal: AbortSignal): Promise<MachineImage> {
    return this.#images.get(id, () => findImage(this.ec2, id, signal))
  }

  /** Of every VPC that the subnets are in. */
  async networkFaults(options: AwsRegionOptions, signal: AbortSignal): Promise<readonly string[]> {
    const faults: string[] = []
    const subnets = await this.#subnetsOf(options, signal)
    for (const vpc of new Set([...subnets.values()].map((subnet) => subnet.vpc))) {
      try {
        await this.#securityGroups(options, vpc, signal)
      } catch (error) {
        if (!(error instanceof LaunchError)) throw error
        faults.push(error.message)
      }
    }
    return faults
  }

  #securityGroups(options: AwsRegionOptions, vpc: string, signal: AbortSignal): Promise<readonly string[]> {
    const wanted = options.security_groups
    return this.#groups.get(JSON.stringify([vpc, wanted]), () =>
      findSecurityGroups(this.ec2, wanted, vpc, signal),
    )
  }

  #subnetsOf(options: AwsRegionOptions, signal: AbortSignal): ReturnType<typeof findSubnets> {
    const wanted = options.subnets
    return this.#subnets.get(JSON.stringify(wanted), () => findSubnets(this.ec2, wanted, signal))
  }

  async #zonesOf(options: AwsRegionOptions, signal: AbortSignal): Promise<readonly string[]> {
    const subnets = await this.#subnetsOf(options, signal)
    const missing = options.zones.filter((zone) => !subnets.has(zone))
    if (missing.length > 0) {
      throw new LaunchError('invalid-request', `no subnet of the region is in zone ${missing.join(', ')}`)
    }
    return options.zones.length > 0 ? options.zones : [...subnets.keys()].toSorted()
  }
}
