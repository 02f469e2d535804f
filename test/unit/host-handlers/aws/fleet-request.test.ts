import { describe, expect, it } from 'vitest'

import { fleetRequestOf } from '../../../../host-handlers/aws/fleet-request.ts'
import type { FleetRequestParts } from '../../../../host-handlers/aws/fleet-request.ts'
import { parseStoredRequest } from '../../../../host-handlers/aws/request.ts'
import type { StoredFleet } from '../../../../host-handlers/aws/request.ts'
import { aType, requestParts } from './parts.ts'

const old = { ...aType, name: 'm1.large', features: [], takesEbsOptimized: false }
const partsOf = (providerOptions = {}, overrides: Partial<FleetRequestParts> = {}): FleetRequestParts => {
  const { type: _, subnetId: __, ...parts } = requestParts({ allocation: 'fleet', ...providerOptions })
  return {
    ...parts,
    offering: { instanceType: 'm6a.large+m1.large', zone: '', lifecycle: 'spot', agents: 3 },
    choices: [
      { type: aType, subnetId: 'subnet-0a' },
      { type: aType, subnetId: 'subnet-0b' },
      { type: old, subnetId: 'subnet-0a' },
    ],
    ...overrides,
  }
}
const storedOf = (parts: FleetRequestParts) => parseStoredRequest(fleetRequestOf(parts)) as StoredFleet

describe('the request of a fleet', () => {
  it('is the same each time, survives a jsonb column, and holds neither the token nor the user data', () => {
    const request = fleetRequestOf(partsOf())
    expect(fleetRequestOf(partsOf())).toEqual(request)
    const text = JSON.stringify(request)
    expect(JSON.parse(text)).toEqual(request)
    expect(text).not.toContain('e'.repeat(64))
    expect(text).not.toContain('UserData":')
  })

  it('asks at once for spot machines of each type in each subnet, and for no more than are wanted', () => {
    const { count, input, overrides } = storedOf(partsOf({ spot_max_price: 0.05 }))
    expect(count).toBe(2)
    expect(input).toMatchObject({
      Type: 'instant',
      TargetCapacitySpecification: { TotalTargetCapacity: 2, DefaultTargetCapacityType: 'spot' },
      SpotOptions: { InstanceInterruptionBehavior: 'terminate' },
    })
    expect(overrides).toEqual([
      { InstanceType: 'm6a.large', SubnetId: 'subnet-0a', MaxPrice: '0.05' },
      { InstanceType: 'm6a.large', SubnetId: 'subnet-0b', MaxPrice: '0.05' },
      { InstanceType: 'm1.large', SubnetId: 'subnet-0a', MaxPrice: '0.05' },
    ])
  })

  it('makes machines as single launches do, but for what only some of the types can', () => {
    const { template } = storedOf(partsOf({ public_ip: true, instance_profile: 'hosts' }))
    expect(template).toMatchObject({
      InstanceInitiatedShutdownBehavior: 'terminate',
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      BlockDeviceMappings: [{ Ebs: { Encrypted: true } }],
      IamInstanceProfile: { Name: 'hosts' },
      NetworkInterfaces: [{ AssociatePublicIpAddress: true, Groups: ['sg-0ab1'] }],
    })
    for (const name of ['InstanceType', 'SubnetId', 'InstanceMarketOptions', 'MinCount', 'EbsOptimized']) {
      expect(template).not.toHaveProperty(name)
    }
    expect(template.NetworkInterfaces?.[0]).not.toHaveProperty('SubnetId')
    expect(template.TagSpecifications?.map((one) => one.ResourceType)).toEqual(['instance', 'volume'])
    const alike = storedOf(partsOf({}, { choices: [{ type: aType, subnetId: 'subnet-0a' }] }))
    expect(alike.template).toMatchObject({ EbsOptimized: true })
  })

  it('is refused when one of its types cannot be what the region asks for', () => {
    expect(() => fleetRequestOf(partsOf({ sev_snp: true }))).toThrow(/m1\.large cannot do AMD SEV-SNP/)
  })
})
