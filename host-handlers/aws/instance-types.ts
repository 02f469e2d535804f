/** What instance types can do and where they are offered, asked of EC2 once and kept: it does not change. */
import { DescribeInstanceTypeOfferingsCommand, DescribeInstanceTypesCommand } from '@aws-sdk/client-ec2'
import type { InstanceTypeInfo, _InstanceType } from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import type { AwsRegionOptions } from './options.ts'
import { pagesOf } from './pages.ts'

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

export class InstanceTypes {
  readonly #ec2: Ec2
  readonly #facts = new Map<string, TypeFacts>()
  readonly #zones = new Map<string, ReadonlySet<string>>()

  constructor(ec2: Ec2) {
    this.#ec2 = ec2
  }

  /**
   * In the order of `names`.
   *
   * @throws LaunchError `invalid-request` that names those that do not exist
   */
  async facts(names: readonly string[], signal: AbortSignal): Promise<readonly TypeFacts[]> {
    const missing = names.filter((name) => !this.#facts.has(name))
    if (missing.length > 0) {
      const Values = [...new Set(missing)]
      // By a filter: with a list of names, one that is wrong hides all others.
      const pages = pagesOf((NextToken) =>
        this.#ec2.sendHarmless(
          'read',
          () =>
            new DescribeInstanceTypesCommand({
              Filters: [{ Name: 'instance-type', Values }],
              MaxResults: 100,
              NextToken,
            }),
          signal,
        ),
      )
      for await (const page of pages) {
        for (const info of page.InstanceTypes ?? []) {
          const facts = factsOf(info)
          this.#facts.set(facts.name, facts)
        }
      }
    }
    const unknown = names.filter((name) => !this.#facts.has(name))
    if (unknown.length > 0) {
      const message = `EC2 has no instance type ${unknown.join(', ')} in ${this.#ec2.region}`
      throw new LaunchError('invalid-request', message)
    }
    return names.flatMap((name) => this.#facts.get(name) ?? [])
  }

  /** The zones in which a type is offered at all; whether there is any left only a launch can tell. */
  async zonesOf(name: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const known = this.#zones.get(name)
    if (known !== undefined) return known
    const zones = new Set<string>()
    const pages = pagesOf((NextToken) =>
      this.#ec2.sendHarmless(
        'read',
        () =>
          new DescribeInstanceTypeOfferingsCommand({
            LocationType: 'availability-zone',
            Filters: [{ Name: 'instance-type', Values: [name as _InstanceType] }],
            MaxResults: 1000,
            NextToken,
          }),
        signal,
      ),
    )
    for await (const page of pages) {
      for (const { Location } of page.InstanceTypeOfferings ?? [])
        if (Location !== undefined) zones.add(Location)
    }
    this.#zones.set(name, zones)
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
