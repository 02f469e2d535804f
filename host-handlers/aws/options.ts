/**
 * What can be set of EC2, in two places: of the provider (the account and its API server) in the daemon's settings,
 * and of each region (what its machines look like) in `regions.provider_options`. docs/aws.md explains them.
 */
import { z } from 'zod'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { ProviderRegion } from '../../src/model/host-handler.ts'

/** Where every EC2 machine has its instance metadata service. It goes into a shell script: nothing but an address. */
export const metadataDefault = 'http://169.254.169.254'
export const metadataAddress = z
  .string()
  .regex(/^http:\/\/([0-9A-Za-z.-]+|\[[0-9a-f:]+\])(:\d{1,5})?$/, `must be like ${metadataDefault}`)

export const awsOptions = z.strictObject({
  /** Another API server than AWS's own: a VPC endpoint, or one for tests. */
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
  /** Whether that server keeps client tokens, as EC2 does: a launch sent twice then gives the same machines. */
  client_tokens: z.enum(['honoured', 'ignored']).default('honoured'),
  /** How long a fresh machine may be missing from lists, in seconds. */
  visibility_s: z.number().min(0).max(600).default(30),
  /** Where machines find the instance metadata service; http://[fd00:ec2::254] in a subnet of IPv6 only. */
  metadata_endpoint: metadataAddress.default(metadataDefault),
  /** How long one request may take, in seconds. */
  request_timeout_s: z.number().min(0.1).max(300).default(30),
  /** Machines on a page of a list; each page is parsed at once, so small ones keep the daemon responsive. */
  page_size: z.int().min(5).max(1000).default(50),
})
export type AwsOptions = z.infer<typeof awsOptions>

const tagFilter = z
  .record(z.string().min(1).max(128), z.string().max(256))
  .refine((tags) => Object.keys(tags).length > 0, 'name at least one tag')
const anyIds = (pattern: RegExp, like: string) =>
  z.array(z.string().regex(pattern, `must be like ${like}`)).min(1)

const program = z.array(z.string().min(1).max(1000)).min(1)
const manager = z.union(
  [
    /** Baked into the image: program and first arguments, to which `manager --dir …` is added. */
    z.strictObject({ program }),
    /** A .tar.gz that is unpacked below /opt/muster, where `program` is found. */
    z.strictObject({
      url: z.url({ protocol: /^https?$/ }),
      sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits'),
      program: program.default(['bin/muster']),
    }),
  ],
  'must be {program} of a manager that the image holds, or {url, sha256} of a .tar.gz with one',
)

const awsRegionOptions = z.strictObject({
  /** By id, or by tags that all of them bear; one of each zone is used, that with the most free addresses. */
  subnets: z.union(
    [anyIds(/^subnet-[0-9a-f]+$/, 'subnet-0ab1'), tagFilter],
    'must be a list of subnet ids (subnet-0ab1), or an object of tags that the subnets bear',
  ),
  security_groups: z.union(
    [anyIds(/^sg-[0-9a-f]+$/, 'sg-0ab1'), tagFilter],
    'must be a list of security group ids (sg-0ab1), or an object of tags that the groups bear',
  ),
  /** In order of preference; default: all that the subnets are in, by name. */
  zones: z.array(z.string().regex(/^[a-z0-9-]+$/, 'must be like us-east-1a')).default([]),
  /** In order of preference. */
  lifecycles: z
    .array(z.enum(['on-demand', 'spot']))
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'names one twice')
    .default(['on-demand']),
  /** `fleet`: spot machines are asked for by one `CreateFleet` over all types and zones, not by offering. */
  allocation: z.enum(['offering', 'fleet']).default('offering'),
  /** The most to pay for a spot machine, in USD an hour; default: the on-demand price. */
  spot_max_price: z.number().positive().optional(),
  /** Name or ARN; needed by nothing of Muster's, so none is the best. */
  instance_profile: z.string().min(1).max(2048).optional(),
  /** Whether machines get a public address; default: as their subnet says. */
  public_ip: z.boolean().optional(),
  /** Which of a machine's addresses users are told. */
  address: z.enum(['private', 'public']).default('private'),
  key_name: z.string().min(1).max(255).optional(),
  root_volume: z
    .strictObject({
      /** GiB; default: as large as the image's. */
      size: z.int().min(1).max(65_536).optional(),
      type: z.enum(['gp3', 'gp2']).default('gp3'),
      kms_key: z.string().min(1).max(2048).optional(),
    })
    .prefault({}),
  /** AMD SEV-SNP: the machine's memory is encrypted, and it can prove what it booted. */
  sev_snp: z.boolean().default(false),
  /** Of the instance metadata service: how many network hops away its tokens are usable. 2 lets containers in. */
  metadata_hops: z.int().min(1).max(64).default(1),
  /** What one agent takes; together with the instance type it gives the agents a host, where the region does not. */
  agent_needs: z
    .strictObject({
      vcpu: z.number().positive().default(1),
      memory_mib: z.int().positive().default(1024),
      gpu: z.number().min(0).default(0),
    })
    .prefault({}),
  /** What a host keeps for itself. */
  host_reserve: z
    .strictObject({ vcpu: z.number().min(0).default(0), memory_mib: z.int().min(0).default(512) })
    .prefault({}),
  /** How the manager gets onto the machine. */
  manager: manager.default({ program: ['muster'] }),
  /** Program and arguments of an agent. */
  agent_command: z.array(z.string().min(1).max(1000)).min(1).max(100),
  /** What the agents are, as `agents.app` names it. */
  app: z.string().min(1).max(100),
  /** Tags of your own, beside Muster's. */
  tags: z
    .record(z.string().min(1).max(128), z.string().max(256))
    .refine(
      (tags) => !Object.keys(tags).some((key) => /^(aws:|muster:|Name$)/.test(key)),
      'Name and what begins with muster: or aws: is taken',
    )
    .refine((tags) => Object.keys(tags).length <= 40, 'at most 40')
    .default({}),
})
const checkedRegionOptions = awsRegionOptions.refine(
  ({ address, public_ip: isPublic }) => address === 'private' || isPublic !== false,
  { path: ['address'], message: 'is public, and public_ip is false' },
)
export type AwsRegionOptions = z.infer<typeof awsRegionOptions>

/** @throws LaunchError `invalid-request` with every fault of the row's options. */
export function parseRegionOptions(region: Pick<ProviderRegion, 'id' | 'providerOptions'>): AwsRegionOptions {
  const parsed = checkedRegionOptions.safeParse(region.providerOptions ?? {})
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`,
  )
  throw new LaunchError('invalid-request', `provider_options of region ${region.id}: ${faults.join('; ')}`)
}

/**
 * The AWS region of a region of ours: what follows `aws/`, up to the next slash, so that `aws/us-east-1/gpu` is
 * another pool in the same place.
 *
 * @throws LaunchError `invalid-request` where there is none.
 */
export function awsRegionOf(regionId: string): string {
  const name = regionId.split('/')[1] ?? ''
  if (/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(name)) return name
  throw new LaunchError(
    'invalid-request',
    `the region's id ${regionId} does not name an AWS region: call it aws/us-east-1, or aws/us-east-1/anything`,
  )
}
