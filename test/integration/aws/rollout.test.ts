/** Regions on EC2 whose roll-outs are bound as one: all of them switch at one moment, or none. */
import { DescribeInstancesCommand, RegisterImageCommand } from '@aws-sdk/client-ec2'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { eventually } from '../../support/eventually.ts'
import { describeWithMoto } from '../../support/moto.ts'
import type { AwsWorld } from './aws-world.ts'
import { startAwsWorld } from './aws-world.ts'

interface MemberRow {
  readonly id: string
  readonly group_id: string
  readonly state: string
  readonly is_cleared: boolean
  readonly counts: Readonly<Record<string, unknown>>
  readonly reason: string
  readonly switched_at: string | null
}

type Members = readonly [MemberRow, MemberRow, MemberRow]

describeWithMoto('three regions of one roll-out', () => {
  let world: AwsWorld
  const regions = ['a', 'b', 'c'].map((pool) => `aws/us-east-1/${pool}`)
  const slow = 'aws/us-east-1/c'
  let image: string
  beforeAll(async () => {
    world = await startAwsWorld()
    const registered = await world.direct.send(
      new RegisterImageCommand({ Name: 'next', Architecture: 'x86_64', RootDeviceName: '/dev/sda1' }),
    )
    image = registered.ImageId ?? ''
    // Room for the host that stands; a surge makes it for a candidate's.
    for (const id of regions)
      await world.addRegion(id, 1, { max_hosts: 1, max_surge_hosts: id === slow ? 0 : 1 })
    for (const id of regions) await world.settled(id, 1)
  })
  afterAll(async () => world.close())

  /** Gives its members, in the order of their regions. */
  const members = async (version: string) =>
    (await world.database.sql(
      `select id, group_id, state, is_cleared, counts, reason, switched_at::text
       from fleet.rollouts where version = $1 order by region_id`,
      [version],
    )) as unknown as Members
  const start = async (version: string, options: object) => {
    const images = Object.fromEntries(regions.map((id) => [id, image]))
    const { status, body } = await world.daemon.post('/v1/rollouts', { body: { version, images, options } })
    expect(status, JSON.stringify(body)).toBe(200)
    return members(version)
  }
  const until = (version: string, what: string, holds: (rows: Members) => boolean) =>
    eventually(
      async () => {
        const rows = await members(version)
        seen.add(await activeVersions())
        expect(holds(rows), JSON.stringify(rows)).toBe(true)
        return rows
      },
      { everyMs: 50, what },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${world.daemon.output.slice(-6000)}`, { cause: error })
    })
  const twoWait = ([a, b, c]: Members) =>
    [a, b].every((row) => row.state === 'READY' && row.is_cleared) && c.state === 'PREPARING'
  /** Of all ACTIVE images, at one moment. */
  const activeVersions = async () => {
    const [row] = await world.database.sql(
      `select string_agg(version, ' ' order by region_id) as versions from fleet.images where status = 'ACTIVE'`,
    )
    return String(row?.['versions'])
  }
  const seen = new Set<string>()
  /** One ACTIVE host of the version in each region, and no machine beside theirs. */
  const onlyHostsOf = async (version: string) => {
    for (const id of regions) {
      expect(await world.settled(id, 1)).toMatchObject([{ version }])
    }
    expect(await world.machines.standing()).toHaveLength(regions.length)
  }

  it('switch together once the last has its buffer, and end their old machines after the bake', async () => {
    const bake = 2
    const [{ group_id: group }] = await start('2.0.0', { switch: 'ready', bake_s: bake })
    await until(
      '2.0.0',
      'two wait for the third',
      (rows) => twoWait(rows) && rows[2].counts['without_room'] === 1,
    )
    const [lease] = await world.database.sql(`select fence from fleet.leases where id = 'daemon'`)
    expect(
      await world.database.sql('select * from fleet.switch_rollouts($1, $2)', [group, lease?.['fence']]),
    ).toEqual([])
    expect(await world.machines.standing()).toHaveLength(5)
    const [letGo] = await world.database.sql('select now()::text as at')

    await world.setRegion(slow, { max_surge_hosts: 1 })
    const done = await until('2.0.0', 'all are DONE', (rows) => rows.every(({ state }) => state === 'DONE'))
    expect(seen).toEqual(new Set(['demo demo demo', '2.0.0 2.0.0 2.0.0']))
    expect(new Set(done.map((row) => row.switched_at)).size).toBe(1)
    const drains = await world.database.sql(
      `select r.switched_at > $1 as is_let_go, d.created_at >= r.switched_at + make_interval(secs => $2) as is_baked
       from fleet.rollouts r join fleet.hosts h on h.image_id = r.from_image
       join fleet.decisions d on d.kind = 'drain' and d.target = h.id`,
      [letGo?.['at'], bake],
    )
    expect(drains).toEqual(regions.map(() => ({ is_let_go: true, is_baked: true })))
    await onlyHostsOf('2.0.0')
    const { Reservations = [] } = await world.direct.send(
      new DescribeInstancesCommand({ Filters: [{ Name: 'instance-state-name', Values: ['running'] }] }),
    )
    expect(Reservations.flatMap(({ Instances = [] }) => Instances).map(({ ImageId }) => ImageId)).toEqual(
      regions.map(() => image),
    )
  })

  it('roll back together when the machines of one never connect', async () => {
    await world.setRegion(slow, {
      rollout: { prepare_s: 5 },
      provider_options: { manager: { program: ['sh', '-c', 'sleep 1000'] } },
    })
    const third = (await start('3.0.0', { switch: 'ready' }))[2].id
    // Its deadline waits until the others are READY, so that they go back for its sake alone.
    expect((await world.daemon.post(`/v1/rollouts/${third}/pause`)).status).toBe(200)
    await until('3.0.0', 'two wait for the third', twoWait)
    await eventually(async () => (await world.machines.standing()).length === 6)
    seen.clear()
    expect((await world.daemon.post(`/v1/rollouts/${third}/resume`)).status).toBe(200)
    const back = await until('3.0.0', 'all are ROLLED_BACK', (rows) =>
      rows.every(({ state }) => state === 'ROLLED_BACK'),
    )
    expect(back.map((row) => row.switched_at)).toEqual([null, null, null])
    const said = await world.database.sql(
      `select d.target, d.reason from fleet.decisions d where d.kind = 'rollout' and d.reason like '%→ ROLLING_BACK%'`,
    )
    const reasonOf = new Map(said.map((row) => [row['target'], row['reason']]))
    const [a, b, c] = back.map(({ id }) => String(reasonOf.get(id)))
    expect(c).toContain('its buffer was not full within prepare_s 5: it lacks 1 host')
    for (const reason of [a, b]) expect(reason).toContain(`its group goes back with ${slow}`)
    expect([...seen]).toEqual(['2.0.0 2.0.0 2.0.0'])
    await onlyHostsOf('2.0.0')
  })
})
