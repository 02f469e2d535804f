/**
 * The exact request of a launch: made once, from what was found of image, type and network; stored; and sent as it
 * was stored, as often as it takes. Pure.
 */
import type {
  CreateFleetCommandInput,
  FleetLaunchTemplateOverridesRequest,
  RequestLaunchTemplateData,
  RunInstancesCommandInput,
} from '@aws-sdk/client-ec2'
import { z } from 'zod'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchWish } from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/offering.ts'
import type { JsonObject } from '../../src/model/json.ts'
import type { MachineImage } from './image.ts'
import type { TypeFacts } from './instance-types.ts'
import type { AwsRegionOptions } from './options.ts'
import { bootstrapSchema, userDataOf } from './user-data.ts'
import type { Bootstrap } from './user-data.ts'

/** The tags by which machines are known, in the create call: a machine without them never exists. */
export const tagKeys = {
  fleet: 'muster:fleet',
  launch: 'muster:launch',
  region: 'muster:region',
  version: 'muster:version',
  /** Put on once the machine has its row; nothing depends on it. */
  host: 'muster:host',
} as const

/** As stored with the launch; no secret, and no user data but its hash. */
const common = {
  format: z.literal(1),
  /** AWS's name of the region. */
  region: z.string(),
  bootstrap: bootstrapSchema,
  userDataSha256: z.string(),
}
const storedRequest = z.discriminatedUnion('call', [
  z.strictObject({
    ...common,
    call: z.literal('RunInstances'),
    /** RunInstances' own parameters, but for UserData and ClientToken. */
    input: z.looseObject({ MinCount: z.literal(1), MaxCount: z.int().min(1) }),
  }),
  z.strictObject({
    ...common,
    call: z.literal('CreateFleet'),
    /** CreateFleet's own parameters, but for LaunchTemplateConfigs and ClientToken. */
    input: z.looseObject({
      TargetCapacitySpecification: z.looseObject({ TotalTargetCapacity: z.int().min(1) }),
    }),
    overrides: z.array(z.looseObject({})).min(1),
    /** Of the launch template, but for UserData. */
    template: z.looseObject({}),
  }),
])
interface Stored {
  readonly region: string
  readonly count: number
  /** As it must be again, or the request is another one. */
  readonly userDataSha256: string
  readonly bootstrap: Bootstrap
}
export interface StoredRun extends Stored {
  readonly call: 'RunInstances'
  readonly input: RunInstancesCommandInput
}
export interface StoredFleet extends Stored {
  readonly call: 'CreateFleet'
  readonly input: Omit<CreateFleetCommandInput, 'LaunchTemplateConfigs'>
  readonly overrides: readonly FleetLaunchTemplateOverridesRequest[]
  readonly template: RequestLaunchTemplateData
}
export type StoredRequest = StoredRun | StoredFleet

export interface RequestParts {
  readonly wish: LaunchWish
  readonly offering: Offering
  readonly options: AwsRegionOptions
  /** AWS's name of the region. */
  readonly region: string
  readonly subnetId: string
  readonly securityGroupIds: readonly string[]
  readonly image: MachineImage
  readonly type: TypeFacts
  readonly daemons: readonly string[]
  /** Where machines find their metadata service. */
  readonly metadataEndpoint: string
}

/** @throws LaunchError `invalid-request` when image, type and options do not go together; all reasons at once. */
export function requestOf(parts: RequestParts): JsonObject {
  const faults = mismatches(parts)
  if (faults.length > 0) throw new LaunchError('invalid-request', faults.join('; '))
  const bootstrap = bootstrapOf(parts)
  const request = {
    format: 1,
    call: 'RunInstances',
    region: parts.region,
    input: inputOf(parts),
    bootstrap,
    userDataSha256: userDataOf(bootstrap, parts.wish.enrolmentToken).sha256,
  }
  // What is undefined must not come back as something else from the row.
  return JSON.parse(JSON.stringify(request)) as JsonObject
}

/** @throws LaunchError `invalid-request` for a request that no version of this handler stored. */
export function parseStoredRequest(request: JsonObject | undefined): StoredRequest {
  const parsed = storedRequest.safeParse(request)
  if (!parsed.success) {
    throw new LaunchError(
      'invalid-request',
      'the launch holds no request that this version of the provider "aws" can send: resolve it first',
    )
  }
  const { format: _, ...stored } = parsed.data
  if (stored.call === 'RunInstances') return { ...stored, count: stored.input.MaxCount }
  return { ...stored, count: stored.input.TargetCapacitySpecification.TotalTargetCapacity }
}

/** What keeps the parts from going together, in plain words. */
export function mismatches({ offering, options, image, type, daemons }: RequestParts): readonly string[] {
  const faults: string[] = []
  if (daemons.length === 0)
    faults.push('no address is known at which managers reach the daemon: set one that machines can dial')
  if (!type.architectures.includes(image.architecture)) {
    const can = type.architectures.join(' and ')
    faults.push(`image ${image.id} is built for ${image.architecture}, and ${type.name} runs ${can}`)
  }
  if (options.sev_snp && !type.features.includes('amd-sev-snp')) {
    faults.push(
      `sev_snp is asked for, and ${type.name} cannot do AMD SEV-SNP: use types that can (m6a, c6a, r6a)`,
    )
  }
  if (options.sev_snp && !image.bootModes.includes('uefi')) {
    faults.push(`sev_snp is asked for, and image ${image.id} does not boot by UEFI`)
  }
  const size = options.root_volume.size
  if (size !== undefined && image.rootSize !== undefined && size < image.rootSize) {
    faults.push(`root_volume.size is ${size} GiB, and image ${image.id} needs ${image.rootSize}`)
  }
  if (!type.lifecycles.includes(offering.lifecycle))
    faults.push(`${type.name} is not sold as ${offering.lifecycle}`)
  return faults
}

export function bootstrapOf({
  wish,
  offering,
  options,
  daemons,
  metadataEndpoint,
}: Pick<RequestParts, 'wish' | 'offering' | 'options' | 'daemons' | 'metadataEndpoint'>): Bootstrap {
  const { manager } = options
  return {
    fleetId: wish.fleetId,
    launchId: wish.launchId,
    agents: offering.agents,
    version: wish.version,
    daemons: [...daemons],
    caPins: [...wish.caPins],
    app: options.app,
    agentCommand: options.agent_command,
    address: options.address,
    metadataEndpoint,
    program: manager.program,
    ...('url' in manager ? { archive: { url: manager.url, sha256: manager.sha256 } } : {}),
  }
}

export function inputOf(parts: RequestParts): RunInstancesCommandInput {
  const { wish, offering, options, image, type, subnetId } = parts
  const { root_volume: volume, instance_profile: profile } = options
  const groups = [...parts.securityGroupIds]
  const tags = tagsOf(parts)
  const size = volume.size ?? image.rootSize
  return {
    ImageId: image.id,
    InstanceType: type.name as NonNullable<RunInstancesCommandInput['InstanceType']>,
    MinCount: 1,
    MaxCount: wish.count,
    ...(options.public_ip === undefined
      ? { SubnetId: subnetId, SecurityGroupIds: groups }
      : {
          NetworkInterfaces: [
            {
              DeviceIndex: 0,
              SubnetId: subnetId,
              Groups: groups,
              AssociatePublicIpAddress: options.public_ip,
              DeleteOnTermination: true,
            },
          ],
        }),
    InstanceInitiatedShutdownBehavior: 'terminate',
    ...(type.takesEbsOptimized ? { EbsOptimized: true } : {}),
    BlockDeviceMappings: [
      {
        DeviceName: image.rootDevice,
        Ebs: {
          Encrypted: true,
          DeleteOnTermination: true,
          VolumeType: volume.type,
          ...(size === undefined ? {} : { VolumeSize: size }),
          ...(volume.kms_key === undefined ? {} : { KmsKeyId: volume.kms_key }),
        },
      },
    ],
    // IMDSv2 only: what a workload can be talked into fetching does not hold the machine's credentials.
    MetadataOptions: {
      HttpTokens: 'required',
      HttpEndpoint: 'enabled',
      HttpPutResponseHopLimit: options.metadata_hops,
      InstanceMetadataTags: 'disabled',
    },
    ...(profile === undefined
      ? {}
      : { IamInstanceProfile: profile.startsWith('arn:') ? { Arn: profile } : { Name: profile } }),
    ...(options.key_name === undefined ? {} : { KeyName: options.key_name }),
    ...(options.sev_snp ? { CpuOptions: { AmdSevSnp: 'enabled' } } : {}),
    ...(offering.lifecycle === 'spot' ? { InstanceMarketOptions: spotMarket(options) } : {}),
    TagSpecifications: [
      { ResourceType: 'instance', Tags: tags },
      { ResourceType: 'volume', Tags: tags },
    ],
  }
}

function spotMarket(
  options: AwsRegionOptions,
): NonNullable<RunInstancesCommandInput['InstanceMarketOptions']> {
  const price = options.spot_max_price
  return {
    MarketType: 'spot',
    SpotOptions: {
      SpotInstanceType: 'one-time',
      InstanceInterruptionBehavior: 'terminate',
      ...(price === undefined ? {} : { MaxPrice: String(price) }),
    },
  }
}

function tagsOf({ wish, options }: RequestParts): { Key: string; Value: string }[] {
  const tags = {
    ...options.tags,
    [tagKeys.fleet]: wish.fleetId,
    [tagKeys.launch]: wish.launchId,
    [tagKeys.region]: wish.regionId,
    [tagKeys.version]: wish.version,
    Name: `muster ${wish.regionId}`,
  }
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }))
}
