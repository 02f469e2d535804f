import { inspect } from 'node:util'
import {
  CreateLaunchTemplateCommand,
  DeleteLaunchTemplateCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplatesCommand,
} from '@aws-sdk/client-ec2'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '../../../src/lib/clock.ts'
import type { HostHandler, ProviderRegion } from '../../../src/model/host-handler.ts'
import {
  describeHandlerContract,
  listHosts,
  prepareLaunch,
  terminateAll,
} from '../../host-handlers/contract.ts'
import type { Ec2Fault } from '../../support/ec2-proxy.ts'
import { describeWithMoto } from '../../support/moto.ts'
import { secretKey, startEc2World } from './ec2-world.ts'
import type { Ec2World } from './ec2-world.ts'

const { signal } = new AbortController()

describeWithMoto('EC2 instances', () => {
  let world: Ec2World
  let handler: HostHandler
  let region: ProviderRegion

  beforeAll(async () => {
    world = await startEc2World()
  })
  afterAll(async () => world.close())
  beforeEach(() => {
    world.proxy.forget()
    region = world.aRegion()
    handler = world.open('fleet-1')
  })
  const prepare = (overrides = {}) => prepareLaunch(handler, region, overrides)
  const standing = async () => (await world.standing(region.id)).length

  describeHandlerContract('aws', async () => {
    const here = world.aRegion()
    return {
      region: here,
      elsewhere: world.aRegion().id,
      open: (fleetId) => world.open(fleetId),
      countMachines: async () => (await world.standing(here.id)).length,
      close: async () => undefined,
      badOptions: {
        providerOptions: { subnets: ['here'], security_groups: [], sev_snip: true },
        named: ['subnets', 'security_groups', 'sev_snip', 'agent_command', 'app'],
      },
      refuseNext: () => {
        world.proxy.fault('RunInstances', {
          kind: 'refused',
          code: 'InsufficientInstanceCapacity',
          status: 500,
        })
        return 'insufficient-capacity'
      },
      loseNextAnswer: () => world.proxy.fault('RunInstances', { kind: 'reset-after' }),
      givePartNext: (machines) => world.proxy.fault('RunInstances', { kind: 'partial', machines }),
    }
  })

  it('bear their tags, a locked metadata service and an encrypted disk from the call that makes them', async () => {
    const spec = await prepare({ count: 1 })
    const { cloudIds } = await handler.launch(spec, signal)
    const { Reservations = [] } = await world.direct.send(
      new DescribeInstancesCommand({ InstanceIds: [...cloudIds] }),
    )
    const [instance] = Reservations[0]?.Instances ?? []
    const tags = new Map(instance?.Tags?.map((tag) => [tag.Key, tag.Value]))
    expect(Object.fromEntries(tags)).toEqual({
      'muster:fleet': 'fleet-1',
      'muster:launch': spec.launchId,
      'muster:region': region.id,
      'muster:version': 'demo',
      Name: `muster ${region.id}`,
    })
    expect(instance?.MetadataOptions).toMatchObject({ HttpTokens: 'required', HttpPutResponseHopLimit: 1 })
    expect(instance?.InstanceType).toBe('m6a.large')
    const sent = world.proxy.requests.find((request) => request.action === 'RunInstances')?.parameters
    expect(sent?.get('ClientToken')).toBe(spec.token)
    expect(sent?.get('BlockDeviceMapping.1.Ebs.Encrypted')).toBe('true')
    expect(sent?.get('InstanceInitiatedShutdownBehavior')).toBe('terminate')
    expect(world.proxy.countOf('CreateTags')).toBe(0)
  })

  it.each<[string, Ec2Fault]>([
    ['is lost with the connection', { kind: 'reset-after' }],
    ['never comes', { kind: 'silent' }],
    ['stops half-way', { kind: 'stalled' }],
    ['is cut off', { kind: 'cut' }],
    ['is cut off and looks whole', { kind: 'cut', passesForWhole: true }],
    ['comes too late', { kind: 'slow', ms: 3000 }],
  ])('are neither doubled nor lost when the answer to a launch %s', async (_, fault) => {
    const hasty = world.open('fleet-1', { request_timeout_s: 2 })
    const spec = await prepareLaunch(hasty, region)
    world.proxy.fault('RunInstances', fault)
    await expect(hasty.launch({ ...spec, isRepeat: false }, signal)).rejects.toMatchObject({
      code: 'unknown',
    })
    expect(await standing()).toBe(2)
    const again = await world.open('fleet-1').launch({ ...spec, isRepeat: true }, signal)
    expect([...again.cloudIds].sort()).toEqual([...(await world.standing(region.id))].sort())
    expect(again.shortfall).toBeUndefined()
  })

  it('are asked for again byte for byte, by the token, while they are still missing from lists', async () => {
    world.proxy.invisibleMs = 60_000
    const spec = await prepare()
    world.proxy.fault('RunInstances', { kind: 'reset-after' })
    await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'unknown' })
    const again = await world.open('fleet-1').launch({ ...spec, isRepeat: true }, signal)
    expect(again.cloudIds).toHaveLength(2)
    expect(await standing()).toBe(2)
    const [first, second] = world.proxy.requests.filter((request) => request.action === 'RunInstances')
    expect(second?.parameters.toString()).toBe(first?.parameters.toString())
  })

  it('are not doubled by a server that keeps no tokens, which is looked at before a repeat', async () => {
    world.proxy.keepsTokens = false
    world.proxy.invisibleMs = 1000
    const options = { client_tokens: 'ignored', visibility_s: 1.5 }
    const spec = await prepare()
    world.proxy.fault('RunInstances', { kind: 'reset-after' })
    await expect(world.open('fleet-1', options).launch(spec, signal)).rejects.toMatchObject({
      code: 'unknown',
    })
    const again = await world.open('fleet-1', options).launch({ ...spec, isRepeat: true }, signal)
    expect(again.cloudIds).toHaveLength(2)
    expect(await standing()).toBe(2)
    expect(world.proxy.countOf('RunInstances')).toBe(1)
  })

  it('are found by their tag when EC2 knows the token with other parameters', async () => {
    const spec = await prepare()
    const { cloudIds } = await handler.launch(spec, signal)
    world.proxy.fault('RunInstances', { kind: 'refused', code: 'IdempotentParameterMismatch' })
    const again = await world.open('fleet-1').launch({ ...spec, isRepeat: false }, signal)
    expect(again.cloudIds).toEqual(cloudIds)
    world.proxy.fault('RunInstances', { kind: 'refused', code: 'IdempotentParameterMismatch' })
    const nothing = await handler.launch({ ...(await prepare()), isRepeat: false }, signal)
    expect(nothing).toMatchObject({ cloudIds: [], shortfall: { code: 'invalid-request' } })
  })

  it('are listed page by page, and a page that cannot be read is no list', async () => {
    for (let launch = 0; launch < 7; launch += 1) await handler.launch(await prepare({ count: 1 }), signal)
    world.proxy.requests.length = 0
    expect(await listHosts(handler, region.id)).toHaveLength(7)
    expect(world.proxy.countOf('DescribeInstances')).toBe(2)
    const cut = { kind: 'cut', passesForWhole: true } as const
    const refused = { kind: 'refused', code: 'UnauthorizedOperation', status: 403 } as const
    world.proxy.fault('DescribeInstances', { kind: 'slow', ms: 0 }, refused)
    await expect(listHosts(handler, region.id)).rejects.toMatchObject({ code: 'unauthorized' })
    world.proxy.fault('DescribeInstances', cut, { kind: 'reset-before' })
    expect(await listHosts(handler, region.id)).toHaveLength(7)
  })

  it('are counted once, and never taken for all, when EC2 throttles', async () => {
    const spec = await prepare()
    world.proxy.fault('RunInstances', { kind: 'refused', code: 'RequestLimitExceeded', status: 503 })
    await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'throttled' })
    const before = performance.now()
    expect((await handler.launch(spec, signal)).cloudIds).toHaveLength(2)
    // The limiter held it back.
    expect(performance.now() - before).toBeGreaterThan(150)
    expect(await standing()).toBe(2)
  })

  it('end even when one of a batch is not there any more', async () => {
    const { cloudIds } = await handler.launch(await prepare({ count: 5 }), signal)
    world.proxy.fault('TerminateInstances', { kind: 'refused', code: 'InvalidInstanceID.NotFound' })
    const answers = await handler.terminate(cloudIds, signal, region.id)
    expect(new Set(answers.values())).toEqual(new Set(['accepted']))
    expect(await standing()).toBe(0)
    await terminateAll(handler, cloudIds, region.id)
  })

  it('are not gone while they are only missing from one look', async () => {
    const patient = world.open('fleet-1', { visibility_s: 0.5 })
    world.proxy.invisibleMs = 60_000
    const { cloudIds } = await patient.launch(await prepare({ count: 1 }), signal)
    expect([...(await patient.terminate(cloudIds, signal, region.id)).values()]).toEqual(['accepted'])
    expect(await standing()).toBe(1)
    world.proxy.show()
    await terminateAll(patient, cloudIds, region.id)
    expect(await standing()).toBe(0)
  })

  describe('of one fleet', () => {
    const fleetRegion = () => world.aRegion({ lifecycles: ['spot'], allocation: 'fleet' })
    const templates = async () => {
      const { LaunchTemplates = [] } = await world.direct.send(new DescribeLaunchTemplatesCommand({}))
      return LaunchTemplates.map(({ LaunchTemplateName: name = '' }) => name)
    }

    it('are asked for again by the same token and template, which is there no longer than that takes', async () => {
      region = fleetRegion()
      expect(await handler.check?.(region, signal)).toEqual([])
      const spec = await prepare({ isRepeat: false })
      expect(spec.offering).toMatchObject({
        instanceType: 'm6a.large+c6a.large',
        zone: '',
        lifecycle: 'spot',
      })
      world.proxy.invisibleMs = 60_000
      world.proxy.fault('CreateFleet', { kind: 'reset-after' })
      await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'unknown' })
      expect(await templates()).toHaveLength(1)
      const again = await world.open('fleet-1').launch({ ...spec, isRepeat: true }, signal)
      expect(again.cloudIds).toEqual([...(await world.standing(region.id))].sort())
      expect(again.cloudIds).toHaveLength(2)
      expect(await templates()).toEqual([])
      const [first, second] = world.proxy.requests.filter((request) => request.action === 'CreateFleet')
      expect(second?.parameters.toString()).toBe(first?.parameters.toString())
      expect(first?.parameters.toString()).not.toContain('UserData')
    })

    it('are found by their tag when the daemon was lost before it had removed the template', async () => {
      region = fleetRegion()
      const spec = await prepare({ isRepeat: false })
      world.proxy.fault('DeleteLaunchTemplate', {
        kind: 'refused',
        code: 'UnauthorizedOperation',
        status: 403,
      })
      const { cloudIds } = await handler.launch(spec, signal)
      expect(await templates()).toHaveLength(1)
      const again = await world.open('fleet-1').launch({ ...spec, isRepeat: true }, signal)
      expect([...again.cloudIds].sort()).toEqual([...cloudIds].sort())
      expect(await templates()).toEqual([])
      expect(world.proxy.countOf('CreateFleet')).toBe(1)
    })

    it('are refused in the words of EC2, and asked for again where only the template failed', async () => {
      region = fleetRegion()
      const refused = { kind: 'refused', code: 'UnauthorizedOperation', status: 403 } as const
      world.proxy.fault('CreateFleet', { kind: 'empty', code: 'MaxSpotInstanceCountExceeded' })
      await expect(handler.launch(await prepare({ isRepeat: false }), signal)).rejects.toMatchObject({
        code: 'quota-exceeded',
        message: expect.stringContaining('MaxSpotInstanceCountExceeded') as string,
      })
      world.proxy.fault('CreateLaunchTemplate', refused, refused)
      const spec = await prepare({ isRepeat: false })
      await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'unauthorized' })
      // An earlier send may have made a fleet.
      const repeat = { ...spec, isRepeat: true }
      await expect(handler.launch(repeat, signal)).rejects.toMatchObject({ code: 'unknown' })
      expect(await standing()).toBe(0)
      expect(await templates()).toEqual([])
    })

    it('leave templates behind at worst for an hour, and those of others alone', async () => {
      region = fleetRegion()
      const make = (name: string, fleet: string) =>
        world.direct.send(
          new CreateLaunchTemplateCommand({
            LaunchTemplateName: name,
            LaunchTemplateData: { ImageId: region.image },
            TagSpecifications: [
              { ResourceType: 'launch-template', Tags: [{ Key: 'muster:fleet', Value: fleet }] },
            ],
          }),
        )
      await make('muster-ours', 'fleet-1')
      await make('muster-theirs', 'fleet-2')
      const lookAfter = async (ms: number) => {
        const clock = { ...systemClock, now: () => Date.now() + ms }
        const late = world.open('fleet-1', {}, clock)
        await late.offerings?.(region, signal)
        await listHosts(late, region.id)
        return templates()
      }
      expect(await lookAfter(0)).toEqual(['muster-ours', 'muster-theirs'])
      expect(await lookAfter(61 * 60_000)).toEqual(['muster-theirs'])
      await world.direct.send(new DeleteLaunchTemplateCommand({ LaunchTemplateName: 'muster-theirs' }))
    })
  })

  it('leave no secret in an error, however deep one looks', async () => {
    const enrolmentToken = 'mse1_a_secret_of_the_fleet'
    const faults: readonly Ec2Fault[] = [
      { kind: 'reset-after' },
      { kind: 'cut', passesForWhole: true },
      { kind: 'refused', code: 'InvalidParameterValue' },
    ]
    for (const fault of faults) {
      const spec = await prepare({ enrolmentToken })
      world.proxy.fault('RunInstances', fault)
      const failure: unknown = await handler
        .launch({ ...spec, isRepeat: false }, signal)
        .catch((error: unknown) => error)
      expect(failure).toMatchObject({ name: 'LaunchError' })
      const userData = world.proxy.requests.at(-1)?.parameters.get('UserData') ?? ''
      expect(userData).not.toBe('')
      const told = inspect(failure, { depth: Infinity, showHidden: true, maxStringLength: Infinity })
      for (const secret of [enrolmentToken, userData, encodeURIComponent(userData), secretKey]) {
        expect(told).not.toContain(secret)
      }
    }
  })

  it('come 500 at once in ten calls', async () => {
    const specs = await Promise.all(Array.from({ length: 10 }, () => prepare({ count: 50, isRepeat: false })))
    const looks = world.proxy.requests.length
    // Types (both, then the one), zones of each, subnets, groups and the image, once for all of them.
    expect(looks).toBe(7)
    world.proxy.fault(
      'RunInstances',
      ...Array.from({ length: 10 }, () => ({ kind: 'partial', machines: 1 }) as const),
    )
    await Promise.all(specs.map((spec) => handler.launch(spec, signal)))
    const calls = world.proxy.requests.slice(looks)
    expect(calls.map((request) => request.action)).toEqual(Array.from({ length: 10 }, () => 'RunInstances'))
    expect(calls.reduce((sum, { parameters }) => sum + Number(parameters.get('MaxCount')), 0)).toBe(500)
  })

  it('are checked for without being launched, each fault in a sentence', async () => {
    expect(await handler.check?.(region, signal)).toEqual([])
    const faulty = {
      ...world.aRegion({ subnets: { tier: 'nowhere' }, security_groups: ['sg-0123'] }),
      instanceTypes: ['m6a.nope'],
      image: 'ami-0123',
    }
    const faults = (await handler.check?.(faulty, signal)) ?? []
    for (const word of ['m6a.nope', 'tier=nowhere', 'ami-0123']) {
      expect(faults.filter((fault) => fault.includes(word))).toHaveLength(1)
    }
    const unable = world.aRegion({ sev_snp: true })
    expect(await handler.check?.({ ...unable, instanceTypes: ['t3.large'] }, signal)).toEqual([
      expect.stringContaining('t3.large cannot do AMD SEV-SNP'),
    ])
    world.proxy.fault('RunInstances', { kind: 'refused', code: 'UnauthorizedOperation', status: 403 })
    expect(await handler.check?.(region, signal)).toEqual([expect.stringContaining('UnauthorizedOperation')])
    expect(await standing()).toBe(0)
  })
})
