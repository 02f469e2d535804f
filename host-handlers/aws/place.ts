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
import type { TypeFacts } from './instance-types.ts'
import { fleetRequestOf } from './fleet-request.ts'
import type { FleetRequestParts } from './fleet-request.ts'
import { LaunchTemplates } from './launch-templates.ts'
import { findSecurityGroups, findSubnets } from './network.ts'
import { parseRegionOptions } from './options.ts'
import type { AwsRegionOptions } from './options.ts'
import { Remembered } from './remembered.ts'
import { requestOf } from './request.ts'
import type { RequestParts } from './request.ts'

/** How long what people change by hand (images, networks) is taken to be as it was, in milliseconds. */
const rememberForMs = 60_000

/** Between the types of a fleet's offering. */
const typeSeparator = '+'

export class Place {
  readonly ec2: Ec2
  readonly templates: LaunchTemplates
  /** Whether a region here was seen to ask for fleets: only then may there be templates of ours. */
  makesFleets = false
  readonly #types: InstanceTypes
  readonly #subnets: Remembered<Awaited<ReturnType<typeof findSubnets>>>
  readonly #groups: Remembered<readonly string[]>
  readonly #images: Remembered<MachineImage>

  constructor(ec2: Ec2, clock: Clock) {
    this.ec2 = ec2
    this.templates = new LaunchTemplates(ec2, clock)
    this.#types = new InstanceTypes(ec2, clock)
    this.#subnets = new Remembered(clock, rememberForMs)
    this.#groups = new Remembered(clock, rememberForMs)
    this.#images = new Remembered(clock, rememberForMs)
  }

  /**
   * All of one lifecycle before the next; within it each type in each zone before the next type, or all spot machines
   * as one offering in no zone.
   *
   * @throws LaunchError `invalid-request` when there are none
   */
  async offerings(region: ProviderRegion, signal: AbortSignal): Promise<readonly Offering[]> {
    const options = parseRegionOptions(region)
    if (options.allocation === 'fleet') this.makesFleets = true
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
      const found: Offering[] = []
      for (const type of types) {
        const agents = region.agentsPerHost ?? agentsOn(type, options)
        if (agents < 1 || !type.lifecycles.includes(lifecycle)) continue
        const offeredIn = await this.#types.zonesOf(type.name, signal)
        for (const zone of zones) {
          if (offeredIn.has(zone)) found.push({ instanceType: type.name, zone, lifecycle, agents })
        }
      }
      const isFleet = lifecycle === 'spot' && options.allocation === 'fleet'
      offerings.push(...(isFleet ? fleetOffering(found) : found))
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
    if (offering.zone === '') return this.#resolveFleet({ wish, options, offering, ...home }, signal)
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

  async #resolveFleet(
    parts: Pick<FleetRequestParts, 'wish' | 'options' | 'offering' | 'daemons' | 'metadataEndpoint'>,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { wish, options, offering } = parts
    this.makesFleets = true
    const subnets = await this.#subnetsOf(options, signal)
    const zones = await this.#zonesOf(options, signal)
    const choices: { type: TypeFacts; subnetId: string }[] = []
    for (const type of await this.#types.facts(offering.instanceType.split(typeSeparator), signal)) {
      const offeredIn = await this.#types.zonesOf(type.name, signal)
      for (const zone of zones) {
        const subnetId = subnets.get(zone)?.id
        if (subnetId !== undefined && offeredIn.has(zone)) choices.push({ type, subnetId })
      }
    }
    const vpcs = new Set(zones.flatMap((zone) => subnets.get(zone)?.vpc ?? []))
    const [vpc] = vpcs
    if (vpc === undefined || choices.length === 0) {
      throw new LaunchError('invalid-request', 'none of the types is offered where the region has subnets')
    }
    if (vpcs.size > 1) {
      throw new LaunchError(
        'invalid-request',
        `a fleet is in one VPC, and the region's subnets are in ${[...vpcs].join(', ')}`,
      )
    }
    return fleetRequestOf({
      ...parts,
      region: this.ec2.region,
      choices,
      securityGroupIds: await this.#securityGroups(options, vpc, signal),
      image: await this.image(wish.image, signal),
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

/** One for all: any of them may come, so each must be content with as many agents as the smallest holds. */
function fleetOffering(offerings: readonly Offering[]): readonly Offering[] {
  if (offerings.length === 0) return []
  const types = new Set(offerings.map(({ instanceType }) => instanceType))
  const agents = Math.min(...offerings.map((one) => one.agents))
  return [{ instanceType: [...types].join(typeSeparator), zone: '', lifecycle: 'spot', agents }]
}
