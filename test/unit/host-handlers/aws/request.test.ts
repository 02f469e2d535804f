import { describe, expect, it } from 'vitest'

import { agentsOn } from '../../../../host-handlers/aws/instance-types.ts'
import { awsRegionOf, parseRegionOptions } from '../../../../host-handlers/aws/options.ts'
import { parseStoredRequest, requestOf } from '../../../../host-handlers/aws/request.ts'
import { anImage, aType, requestParts, someOptions } from './parts.ts'

const inputOf = (providerOptions = {}, overrides = {}) =>
  parseStoredRequest(requestOf(requestParts(providerOptions, overrides))).input

describe('the request of a launch', () => {
  it('is the same each time, survives a jsonb column, and holds neither the token nor the user data', () => {
    const request = requestOf(requestParts())
    expect(requestOf(requestParts())).toEqual(request)
    const text = JSON.stringify(request)
    expect(JSON.parse(text)).toEqual(request)
    expect(text).not.toContain('e'.repeat(64))
    expect(text).not.toContain('UserData":')
  })

  it('asks for one to all, in one subnet, ended by shutdown, with a locked metadata service and encrypted disk', () => {
    expect(inputOf()).toMatchObject({
      MinCount: 1,
      MaxCount: 2,
      ImageId: 'ami-0ab1',
      InstanceType: 'm6a.large',
      SubnetId: 'subnet-0ab1',
      SecurityGroupIds: ['sg-0ab1'],
      InstanceInitiatedShutdownBehavior: 'terminate',
      EbsOptimized: true,
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, VolumeSize: 8 } }],
    })
    expect(inputOf()).not.toHaveProperty('CpuOptions')
    expect(inputOf()).not.toHaveProperty('InstanceMarketOptions')
    expect(inputOf({}, { type: { ...aType, takesEbsOptimized: false } })).not.toHaveProperty('EbsOptimized')
  })

  it('carries what the region asks for besides', () => {
    const spot = { instanceType: 'm6a.large', zone: 'us-east-1a', lifecycle: 'spot', agents: 1 }
    expect(inputOf({ spot_max_price: 0.05 }, { offering: spot })).toMatchObject({
      InstanceMarketOptions: {
        MarketType: 'spot',
        SpotOptions: {
          SpotInstanceType: 'one-time',
          InstanceInterruptionBehavior: 'terminate',
          MaxPrice: '0.05',
        },
      },
    })
    expect(inputOf({ sev_snp: true })).toMatchObject({ CpuOptions: { AmdSevSnp: 'enabled' } })
    expect(inputOf({ instance_profile: 'hosts' })).toMatchObject({ IamInstanceProfile: { Name: 'hosts' } })
    const withAddress = inputOf({ public_ip: true })
    expect(withAddress).toMatchObject({ NetworkInterfaces: [{ AssociatePublicIpAddress: true }] })
    expect(withAddress).not.toHaveProperty('SubnetId')
  })

  it('tags machines and disks so that they are found, and lets nobody take those tags', () => {
    const tags = inputOf({ tags: { team: 'games' } }).TagSpecifications
    expect(tags?.map((one) => one.ResourceType)).toEqual(['instance', 'volume'])
    expect(tags?.[0]?.Tags).toContainEqual({ Key: 'muster:launch', Value: 'launch-1' })
    expect(tags?.[0]?.Tags).toContainEqual({ Key: 'team', Value: 'games' })
    expect(() => requestParts({ tags: { 'muster:fleet': 'another' } })).toThrow('is taken')
  })

  it('says all that does not go together in one sentence', () => {
    const image = { ...anImage, architecture: 'arm64', bootModes: ['legacy-bios'] as const }
    const type = { ...aType, features: [] }
    const parts = requestParts({ sev_snp: true, root_volume: { size: 4 } }, { image, type, daemons: [] })
    for (const word of ['arm64', 'cannot do AMD SEV-SNP', 'UEFI', 'needs 8', 'no address']) {
      expect(() => requestOf(parts)).toThrow(word)
    }
  })

  it('is refused when nothing was resolved, or another version stored it', () => {
    expect(() => parseStoredRequest(undefined)).toThrow('resolve it first')
    expect(() => parseStoredRequest({ ...requestOf(requestParts()), format: 2 })).toThrow('this version')
  })
})

describe('a region of EC2', () => {
  it('is told all its faults together', () => {
    const providerOptions = { ...someOptions, subnets: ['x'], manager: { url: 'ftp://x' }, colour: 'red' }
    const parse = () => parseRegionOptions({ id: 'aws/us-east-1', providerOptions })
    for (const word of ['subnets', 'manager', 'colour']) expect(parse).toThrow(word)
    expect(() => requestParts({ address: 'public', public_ip: false })).toThrow('address')
  })

  it('is named by its id', () => {
    expect(awsRegionOf('aws/us-east-1')).toBe('us-east-1')
    expect(awsRegionOf('aws/us-gov-west-1/gpu')).toBe('us-gov-west-1')
    for (const id of ['aws', 'aws/', 'aws/mars', 'aws/us-east-1.evil.example/x']) {
      expect(() => awsRegionOf(id)).toThrow('does not name an AWS region')
    }
  })

  it.each([
    [{ vcpus: 8, memoryMib: 16384, gpus: 0 }, { vcpu: 2, memory_mib: 1024, gpu: 0 }, 4],
    [{ vcpus: 8, memoryMib: 4608, gpus: 0 }, { vcpu: 0.5, memory_mib: 1024, gpu: 0 }, 4],
    [{ vcpus: 8, memoryMib: 65536, gpus: 1 }, { vcpu: 1, memory_mib: 1024, gpu: 0.5 }, 2],
    [{ vcpus: 2, memoryMib: 1024, gpus: 0 }, { vcpu: 1, memory_mib: 1024, gpu: 0 }, 0],
    [{ vcpus: 0.3, memoryMib: 8192, gpus: 0 }, { vcpu: 0.1, memory_mib: 1, gpu: 0 }, 3],
  ])('holds on a type of %o agents of %o: %i', (type, needs, agents) => {
    expect(agentsOn(type, { agent_needs: needs, host_reserve: { vcpu: 0, memory_mib: 512 } })).toBe(agents)
  })
})
