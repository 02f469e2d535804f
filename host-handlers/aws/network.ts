/** Subnets and security groups, found by what the region's options say of them. */
import { DescribeSecurityGroupsCommand, DescribeSubnetsCommand } from '@aws-sdk/client-ec2'
import type { Filter, Subnet as Ec2Subnet } from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import type { AwsRegionOptions } from './options.ts'
import { pagesOf } from './pages.ts'

interface Subnet {
  readonly id: string
  readonly zone: string
  readonly vpc: string
}

/**
 * One subnet of each zone, that with the most free addresses.
 *
 * @throws LaunchError `invalid-request` when one is missing or none has the tags
 */
export async function findSubnets(
  ec2: Ec2,
  wanted: AwsRegionOptions['subnets'],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Subnet>> {
  const found: Ec2Subnet[] = []
  const pages = pagesOf((NextToken) =>
    ec2.sendHarmless(
      'read',
      () => new DescribeSubnetsCommand({ Filters: filtersOf('subnet-id', wanted), NextToken }),
      signal,
    ),
  )
  for await (const page of pages) found.push(...(page.Subnets ?? []))
  requireAll('subnet', wanted, new Set(found.map((one) => one.SubnetId ?? '')), ec2.region)
  const zones = new Map<string, Subnet & { readonly free: number }>()
  for (const { SubnetId = '', AvailabilityZone = '', VpcId = '', AvailableIpAddressCount = 0 } of found) {
    const known = zones.get(AvailabilityZone)
    const isBetter =
      known === undefined ||
      AvailableIpAddressCount > known.free ||
      (AvailableIpAddressCount === known.free && SubnetId < known.id)
    if (!isBetter) continue
    zones.set(AvailabilityZone, {
      id: SubnetId,
      zone: AvailabilityZone,
      vpc: VpcId,
      free: AvailableIpAddressCount,
    })
  }
  return zones
}

/**
 * Of the VPC, sorted.
 *
 * @throws LaunchError `invalid-request` when one is missing, or none has the tags
 */
export async function findSecurityGroups(
  ec2: Ec2,
  wanted: AwsRegionOptions['security_groups'],
  vpc: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ids: string[] = []
  const inVpc = { Name: 'vpc-id', Values: [vpc] }
  const pages = pagesOf((NextToken) =>
    ec2.sendHarmless(
      'read',
      () =>
        new DescribeSecurityGroupsCommand({ Filters: [inVpc, ...filtersOf('group-id', wanted)], NextToken }),
      signal,
    ),
  )
  for await (const page of pages) ids.push(...(page.SecurityGroups ?? []).flatMap((one) => one.GroupId ?? []))
  requireAll('security group', wanted, new Set(ids), `${vpc}, where the subnets are`)
  return ids.toSorted()
}

function filtersOf(idFilter: string, wanted: readonly string[] | Readonly<Record<string, string>>): Filter[] {
  if (isIds(wanted)) return [{ Name: idFilter, Values: [...wanted] }]
  return Object.entries(wanted).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }))
}

function requireAll(
  what: string,
  wanted: readonly string[] | Readonly<Record<string, string>>,
  found: ReadonlySet<string>,
  where: string,
): void {
  if (isIds(wanted)) {
    const missing = wanted.filter((id) => !found.has(id))
    if (missing.length === 0) return
    throw new LaunchError('invalid-request', `there is no ${what} ${missing.join(', ')} in ${where}`)
  }
  if (found.size > 0) return
  const tags = Object.entries(wanted).map(([key, value]) => `${key}=${value}`)
  throw new LaunchError('invalid-request', `no ${what} in ${where} has the tags ${tags.join(', ')}`)
}

function isIds(wanted: readonly string[] | Readonly<Record<string, string>>): wanted is readonly string[] {
  return Array.isArray(wanted)
}
