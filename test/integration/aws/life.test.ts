/** Regions on EC2 through their days: they fill, serve, drain and scale down, and their machines are exactly their rows. */
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
})
