/** Regions on EC2 through their days: they fill, serve, drain and scale down, and their machines are exactly their rows. */
import { DescribeLaunchTemplatesCommand } from '@aws-sdk/client-ec2'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { sessionOf } from '../../support/crash-proof.ts'
import { eventually } from '../../support/eventually.ts'
import { describeWithMoto } from '../../support/moto.ts'
import type { AwsWorld } from './aws-world.ts'
import { startAwsWorld } from './aws-world.ts'

describeWithMoto('regions on EC2', () => {
  let world: AwsWorld
  const first = 'aws/us-east-1'
  const second = 'aws/us-east-1/gpu'
  beforeAll(async () => {
    world = await startAwsWorld()
  })
  afterAll(async () => world.close())

  it('fill, serve, drain and scale down, side by side, and leave the machines of other fleets alone', async () => {
    const { daemon, proxy, machines } = world
    const strangers = await Promise.all([
      // As like ours as it gets.
      world.runForeign({
        'muster:fleet': 'another',
        'muster:region': first,
        'muster:launch': `${first}:0.0`,
      }),
      world.runForeign({ Name: `muster ${first}`, 'muster:region': first, 'muster:launch': `${first}:0.0` }),
    ])
    const most = new Map<string, number>()
    machines.watch = (standing) => {
      for (const [id, list] of Map.groupBy(standing, (one) => `${one.fleetId} ${one.regionId}`)) {
        most.set(id, Math.max(list.length, most.get(id) ?? 0))
      }
    }
    await Promise.all([
      world.addRegion(first, 2),
      world.addRegion(second, 1, { instance_types: ['g4dn.xlarge'] }),
    ])
    const filled = await world.settled(first, 2)
    expect(
      new Set(filled.map(({ instance_type: type, zone, lifecycle }) => `${type} ${zone} ${lifecycle}`)),
    ).toEqual(new Set(['m6a.large us-east-1a on-demand']))
    expect(await world.settled(second, 1)).toMatchObject([{ instance_type: 'g4dn.xlarge' }])

    // A user takes a seat: the buffer refills, and the host is kept however little is wanted.
    const { status, body: seat } = await daemon.assign('ann', { regions: [first] })
    expect({ status, session: await sessionOf(seat) }).toEqual({ status: 200, session: seat.session_id })
    const three = await world.settled(first, 3)

    // A person drains an idle host: another comes, and its machine ends.
    const idle = three.find(({ id }) => id !== seat.host_id)
    expect((await daemon.post(`/v1/hosts/${encodeURIComponent(idle!.id)}/drain`)).status).toBe(202)
    await eventually(async () => (await world.hosts(first)).every(({ id }) => id !== idle?.id))
    expect((await world.settled(first, 3)).map(({ id }) => id)).not.toContain(idle?.id)

    await world.setRegion(first, { target_free_agents: 0 })
    expect(await world.settled(first, 1)).toMatchObject([{ id: seat.host_id }])
    expect(await sessionOf(seat)).toBe(seat.session_id)
    await fetch(`http://${seat.address}:${seat.port}/end`, { method: 'POST' })
    await world.settled(first, 0)

    expect(await world.settled(second, 1)).toHaveLength(1)
    const left = (await machines.standing()).map(({ id }) => id)
    expect(left).toEqual(expect.arrayContaining(strangers))
    expect(proxy.doubled).toEqual([])
    expect(most.get(`${world.fleetId} ${first}`)).toBeLessThanOrEqual(4)
  })

  it('take spot machines from one fleet over all types and zones, and leave no template behind', async () => {
    const { proxy, direct } = world
    proxy.forget()
    const fleets = { lifecycles: ['spot', 'on-demand'], allocation: 'fleet' }
    const templates = async () =>
      (await direct.send(new DescribeLaunchTemplatesCommand({}))).LaunchTemplates ?? []

    // The answer is lost: the same fleet is asked for again, by the same template.
    const lost = 'aws/us-east-1/fleet-lost'
    proxy.fault('CreateFleet', { kind: 'reset-after' })
    await world.addRegion(lost, 2, { provider_options: fleets })
    expect(await world.settled(lost, 2)).toMatchObject([
      { instance_type: 'm6a.large+c6a.large', lifecycle: 'spot' },
      { instance_type: 'm6a.large+c6a.large', lifecycle: 'spot' },
    ])
    const asked = proxy.requests.filter(({ action }) => action === 'CreateFleet')
    expect(asked[0]?.parameters.get('LaunchTemplateConfigs.1.Overrides.4.InstanceType')).toBe('c6a.large')
    expect(proxy.doubled).toEqual([])

    // Part of it, or none: the rest is asked for on demand.
    const part = 'aws/us-east-1/fleet-part'
    proxy.fault('CreateFleet', { kind: 'partial', machines: 1 })
    await world.addRegion(part, 2, { provider_options: fleets })
    const none = 'aws/us-east-1/fleet-none'
    await world.settled(part, 2)
    proxy.fault('CreateFleet', { kind: 'empty', code: 'InsufficientInstanceCapacity' })
    await world.addRegion(none, 1, { provider_options: fleets })
    expect((await world.hosts(part)).map(({ lifecycle }) => lifecycle).toSorted()).toEqual([
      'on-demand',
      'spot',
    ])
    expect(await world.settled(none, 1)).toMatchObject([
      { instance_type: 'm6a.large', zone: 'us-east-1a', lifecycle: 'on-demand' },
    ])
    const said = await world.daemon.decisions(`region=${encodeURIComponent(none)}`)
    expect(said.map(({ reason }) => reason)).toContainEqual(
      expect.stringMatching(
        /^m6a\.large\+c6a\.large spot: .*InsufficientInstanceCapacity.*; next: m6a\.large/,
      ),
    )
    expect(await templates()).toEqual([])
    expect(proxy.countOf('CreateLaunchTemplate')).toBeGreaterThan(0)
    await world.drop([lost, part, none])
  })
})
