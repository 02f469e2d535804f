/** What instance types can do and where they are offered, asked of EC2 once and kept: it does not change. */
import { DescribeInstanceTypeOfferingsCommand, DescribeInstanceTypesCommand } from '@aws-sdk/client-ec2'
import type { InstanceTypeInfo } from '@aws-sdk/client-ec2'

import type { Clock } from '../../src/lib/clock.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/offering.ts'
import type { Ec2 } from './client.ts'
import type { AwsRegionOptions } from './options.ts'
import { pagesOf } from './pages.ts'
import { Remembered } from './remembered.ts'

export interface TypeFacts {
  readonly name: string
  readonly vcpus: number
  readonly memoryMib: number
  readonly gpus: number
  /** `x86_64`, `arm64`, … */
  readonly architectures: readonly string[]
  /** Of its processor: `amd-sev-snp`. */
  readonly features: readonly string[]
  readonly lifecycles: readonly Offering['lifecycle'][]
  readonly takesEbsOptimized: boolean
}

/** What AWS changes a few times a year, in milliseconds. */
const rememberForMs = 24 * 60 * 60 * 1000

export class InstanceTypes {
  readonly #ec2: Ec2
  readonly #facts: Remembered<readonly TypeFacts[]>
  readonly #zones: Remembered<ReadonlySet<string>>

  constructor(ec2: Ec2, clock: Clock) {
    this.#ec2 = ec2
    this.#facts = new Remembered(clock, rememberForMs)
    this.#zones = new Remembered(clock, rememberForMs)
  }

  /**
   * In the order of `names`.
   *
   * @throws LaunchError `invalid-request` that names those that do not exist
   */
  facts(names: readonly string[], signal: AbortSignal): Promise<readonly TypeFacts[]> {
    return this.#facts.get(names.join(' '), () => this.#askFacts(names, signal))
  }

  /** The zones in which a type is offered at all; whether there is any left only a launch can tell. */
  zonesOf(name: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    return this.#zones.get(name, () => this.#askZones(name, signal))
  }

  async #askFacts(names: readonly string[], signal: AbortSignal): Promise<readonly TypeFacts[]> {
    const found = new Map<string, TypeFacts>()
    // By a filter: with a list of names, one that is wrong hides all others.
    const Filters = [{ Name: 'instance-type', Values: [...new Set(names)] }]
    const pages = pagesOf((NextToken) =>
      this.#ec2.sendHarmless(
        'read',
        () => new DescribeInstanceTypesCommand({ Filters, MaxResults: 100, NextToken }),
        signal,
      ),
    )
    for await (const page of pages) {
      for (const info of page.InstanceTypes ?? []) found.set(info.InstanceType ?? '', factsOf(info))
    }
    const unknown = names.filter((name) => !found.has(name))
    if (unknown.length > 0) {
      const message = `EC2 has no instance type ${unknown.join(', ')} in ${this.#ec2.region}`
      throw new LaunchError('invalid-request', message)
    }
    return names.flatMap((name) => found.get(name) ?? [])
  }

  async #askZones(name: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const zones = new Set<string>()
    const Filters = [{ Name: 'instance-type', Values: [name] }]
    const pages = pagesOf((NextToken) =>
      this.#ec2.sendHarmless(
        'read',
        () =>
          new DescribeInstanceTypeOfferingsCommand({
            LocationType: 'availability-zone',
            Filters,
            MaxResults: 1000,
            NextToken,
          }),
        signal,
      ),
    )
    for await (const page of pages) {
      for (const { Location } of page.InstanceTypeOfferings ?? []) {
        if (Location !== undefined) zones.add(Location)
      }
    }
    return zones
  }
}

function factsOf(info: InstanceTypeInfo): TypeFacts {
  return {
    name: info.InstanceType ?? '',
    vcpus: info.VCpuInfo?.DefaultVCpus ?? 0,
    memoryMib: info.MemoryInfo?.SizeInMiB ?? 0,
    gpus: (info.GpuInfo?.Gpus ?? []).reduce((sum, gpu) => sum + (gpu.Count ?? 0), 0),
    architectures: info.ProcessorInfo?.SupportedArchitectures ?? [],
    features: info.ProcessorInfo?.SupportedFeatures ?? [],
    lifecycles: (info.SupportedUsageClasses ?? []).filter((one) => one === 'spot' || one === 'on-demand'),
    takesEbsOptimized: info.EbsInfo?.EbsOptimizedSupport !== 'unsupported',
  }
}

/** How many agents a machine of this type holds: what is scarcest decides. Pure. */
export function agentsOn(
  type: Pick<TypeFacts, 'vcpus' | 'memoryMib' | 'gpus'>,
  { agent_needs: needs, host_reserve: reserve }: Pick<AwsRegionOptions, 'agent_needs' | 'host_reserve'>,
): number {
  const byCpu = (type.vcpus - reserve.vcpu) / needs.vcpu
  const byMemory = (type.memoryMib - reserve.memory_mib) / needs.memory_mib
  const byGpu = needs.gpu === 0 ? Infinity : type.gpus / needs.gpu
  // 0.1 + 0.2 must not cost an agent.
  return Math.max(0, Math.floor(Math.min(byCpu, byMemory, byGpu) + 1e-9))
}
