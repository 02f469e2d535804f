/**
 * The exact request of a launch by `allocation: fleet`: one `CreateFleet` of type `instant` over all of the region's
 * types and zones, spot. CreateFleet takes what machines are like from a launch template only, so that one is made for
 * each launch and removed once it is answered (launch-templates.ts). Pure.
 */
import type { CreateFleetCommandInput, RequestLaunchTemplateData, Tag } from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { JsonObject } from '../../src/model/json.ts'
import type { TypeFacts } from './instance-types.ts'
import { bootstrapOf, inputOf, mismatches } from './request.ts'
import type { RequestParts } from './request.ts'
import { userDataOf } from './user-data.ts'

export interface FleetRequestParts extends Omit<RequestParts, 'type' | 'subnetId'> {
  /** In order of preference; at least one. */
  readonly choices: readonly { readonly type: TypeFacts; readonly subnetId: string }[]
}

/** Of LaunchTemplateConfigs; the template's name is the launch's own, and put in when it is sent. */
type Overrides = NonNullable<
  NonNullable<CreateFleetCommandInput['LaunchTemplateConfigs']>[number]['Overrides']
>

/** @throws LaunchError `invalid-request` when image, types and options do not go together; all reasons at once. */
export function fleetRequestOf(parts: FleetRequestParts): JsonObject {
  const types = [...new Set(parts.choices.map(({ type }) => type))]
  const faults = new Set(types.flatMap((type) => mismatches({ ...parts, type, subnetId: '' })))
  if (faults.size > 0) throw new LaunchError('invalid-request', [...faults].join('; '))
  const bootstrap = bootstrapOf(parts)
  const template = templateOf(parts, types)
  const request = {
    format: 1,
    call: 'CreateFleet',
    region: parts.region,
    input: fleetInputOf(parts, template.TagSpecifications?.[0]?.Tags),
    overrides: overridesOf(parts),
    template,
    bootstrap,
    userDataSha256: userDataOf(bootstrap, parts.wish.enrolmentToken).sha256,
  }
  return JSON.parse(JSON.stringify(request)) as JsonObject
}

function fleetInputOf(
  parts: FleetRequestParts,
  tags: Tag[] | undefined,
): Omit<CreateFleetCommandInput, 'LaunchTemplateConfigs'> {
  return {
    Type: 'instant',
    TargetCapacitySpecification: {
      TotalTargetCapacity: parts.wish.count,
      DefaultTargetCapacityType: 'spot',
    },
    SpotOptions: {
      AllocationStrategy: 'price-capacity-optimized',
      InstanceInterruptionBehavior: 'terminate',
    },
    TagSpecifications: [{ ResourceType: 'fleet', Tags: tags }],
  }
}

function overridesOf({ choices, options }: FleetRequestParts): Overrides {
  const price = options.spot_max_price
  return choices.map(({ type, subnetId }) => ({
    InstanceType: type.name as NonNullable<Overrides[number]['InstanceType']>,
    SubnetId: subnetId,
    ...(price === undefined ? {} : { MaxPrice: String(price) }),
  }))
}

/** What all machines have in common; never the user data, which holds a token. */
function templateOf(parts: FleetRequestParts, types: readonly TypeFacts[]): RequestLaunchTemplateData {
  const [type] = types
  if (type === undefined) throw new LaunchError('invalid-request', 'the region offers nothing')
  const takesEbsOptimized = types.every((one) => one.takesEbsOptimized)
  const {
    ImageId,
    SecurityGroupIds,
    NetworkInterfaces,
    InstanceInitiatedShutdownBehavior,
    EbsOptimized,
    BlockDeviceMappings,
    MetadataOptions,
    IamInstanceProfile,
    KeyName,
    CpuOptions,
    TagSpecifications,
  } = inputOf({ ...parts, type: { ...type, takesEbsOptimized }, subnetId: '' })
  return {
    ImageId,
    SecurityGroupIds,
    // Which subnet is for each override to say.
    NetworkInterfaces: NetworkInterfaces?.map(({ SubnetId: _, ...rest }) => rest),
    InstanceInitiatedShutdownBehavior,
    EbsOptimized,
    BlockDeviceMappings,
    MetadataOptions,
    IamInstanceProfile,
    KeyName,
    CpuOptions,
    TagSpecifications,
  }
}
