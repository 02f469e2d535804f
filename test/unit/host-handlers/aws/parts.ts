import type { MachineImage } from '../../../../host-handlers/aws/image.ts'
import type { TypeFacts } from '../../../../host-handlers/aws/instance-types.ts'
import { parseRegionOptions } from '../../../../host-handlers/aws/options.ts'
import type { RequestParts } from '../../../../host-handlers/aws/request.ts'
import { aLaunchSpec } from '../../../host-handlers/contract.ts'

export const someOptions = {
  subnets: ['subnet-0ab1'],
  security_groups: ['sg-0ab1'],
  app: 'hello-agent',
  agent_command: ['/usr/local/bin/hello-agent'],
}

export const anImage: MachineImage = {
  id: 'ami-0ab1',
  architecture: 'x86_64',
  rootDevice: '/dev/xvda',
  rootSize: 8,
  bootModes: ['uefi', 'legacy-bios'],
}

export const aType: TypeFacts = {
  name: 'm6a.large',
  vcpus: 2,
  memoryMib: 8192,
  gpus: 0,
  architectures: ['x86_64'],
  features: ['amd-sev-snp'],
  lifecycles: ['on-demand', 'spot'],
  takesEbsOptimized: true,
}

export function requestParts(
  providerOptions: Readonly<Record<string, unknown>> = {},
  overrides: Partial<RequestParts> = {},
): RequestParts {
  const { token: _, ...wish } = aLaunchSpec({
    regionId: 'aws/us-east-1',
    launchId: 'launch-1',
    enrolmentToken: 'e'.repeat(64),
    caPins: [`sha256/${'p'.repeat(43)}`],
  })
  return {
    wish,
    offering: { instanceType: 'm6a.large', zone: 'us-east-1a', lifecycle: 'on-demand', agents: 3 },
    options: parseRegionOptions({
      id: 'aws/us-east-1',
      providerOptions: { ...someOptions, ...providerOptions },
    }),
    region: 'us-east-1',
    subnetId: 'subnet-0ab1',
    securityGroupIds: ['sg-0ab1'],
    image: anImage,
    type: aType,
    daemons: ['daemon.example:7011'],
    metadataEndpoint: 'http://127.0.0.1:1',
    ...overrides,
  }
}
