/** What EC2 refuses, loses, delays or gives in part, and what the daemon makes of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { sessionOf } from '../../support/crash-proof.ts'
import type { Ec2Fault } from '../../support/ec2-proxy.ts'
import { eventually } from '../../support/eventually.ts'
import { describeWithMoto } from '../../support/moto.ts'
import type { AwsWorld } from './aws-world.ts'
import { startAwsWorld } from './aws-world.ts'

const noCapacity = { kind: 'refused', code: 'InsufficientInstanceCapacity', status: 500 } as const
const throttled = { kind: 'refused', code: 'RequestLimitExceeded', status: 503 } as const

describeWithMoto('a daemon whose EC2', () => {
  let world: AwsWorld
  beforeAll(async () => {
    world = await startAwsWorld({
      MUSTER_CAPACITY_BLOCK_S: '60',
      MUSTER_QUOTA_BLOCK_S: '4',
      MUSTER_AWS_REQUEST_TIMEOUT_S: '2',
    })
  })
  afterAll(async () => world.close())
  beforeEach(() => world.proxy.forget())

  const blocks = async (regionId: string) =>
    world.database.sql(
      `select instance_type, zone, lifecycle, code, reason, extract(epoch from until - created_at) as seconds
       from fleet.blocked_offerings where region_id = $1 order by created_at`,
      [regionId],
    )
  const refusals = async (regionId: string) => {
    const said = await world.daemon.decisions(`region=${encodeURIComponent(regionId)}&limit=1000`)
    return said.filter(({ kind }) => kind === 'refuse').map(({ reason }) => reason)
  }
  const region = async (regionId: string) => {
    const { body } = await world.daemon.get<{ regions: Record<string, unknown>[] }>('/v1/regions')
    return body.regions.find((one) => one['id'] === regionId)
  }
  /** What was asked for; asked again with its token, it is the same call. */
  const calls = () => {
    const asked = world.proxy.requests.filter(({ action }) => action === 'RunInstances')
    return [...Map.groupBy(asked, ({ parameters }) => parameters.get('ClientToken')).values()].map(
      ([first, ...repeats]) => {
        const { parameters } = first!
        const zone = ['us-east-1a', 'us-east-1b'][world.subnets.indexOf(parameters.get('SubnetId') ?? '')]
        const market = parameters.get('InstanceMarketOptions.MarketType') ?? 'on-demand'
        return {
          offering: `${parameters.get('InstanceType')} ${zone} ${market}`,
          isRepeated: repeats.length > 0,
        }
      },
    )
  }

  it('has no capacity asks for the next offering: zones, types, spot before on-demand', async () => {
    const id = 'aws/us-east-1/fallback'
    world.proxy.fault('RunInstances', throttled, ...Array.from({ length: 5 }, () => noCapacity))
    await world.addRegion(id, 1, { provider_options: { lifecycles: ['spot', 'on-demand'] } })
    expect(await world.settled(id, 1)).toMatchObject([
      { instance_type: 'm6a.large', zone: 'us-east-1b', lifecycle: 'on-demand' },
    ])
    const order = [
      'm6a.large us-east-1a spot',
      'm6a.large us-east-1b spot',
      'c6a.large us-east-1a spot',
      'c6a.large us-east-1b spot',
      'm6a.large us-east-1a on-demand',
    ]
    expect(calls().map(({ offering }) => offering)).toEqual([...order, 'm6a.large us-east-1b on-demand'])
    // The throttled one was asked for again.
    expect(calls()[0]?.isRepeated).toBe(true)
    const blocked = await blocks(id)
    expect(blocked.map((row) => `${row['instance_type']} ${row['zone']} ${row['lifecycle']}`)).toEqual(order)
    expect(blocked.every((row) => row['code'] === 'insufficient-capacity')).toBe(true)
    const said = await refusals(id)
    for (const offering of order) {
      expect(said).toContainEqual(
        expect.stringMatching(new RegExp(`^${offering}: .*InsufficientInstanceCapacity`)),
      )
    }
    // One call is one action, of one launch.
    const actions = await world.database.sql(
      `select attempt, status from fleet.actions where region_id = $1 and kind = 'launch' order by attempt`,
      [id],
    )
    expect(actions).toEqual([
      ...order.map((_, index) => ({ attempt: index + 1, status: 'FAILED' })),
      { attempt: 6, status: 'SUCCEEDED' },
    ])
    expect(world.proxy.doubled).toEqual([])
  })

  it('has nothing left holds the region back until the first block ends, and users go on to the next region', async () => {
    const [full, spare] = ['aws/us-east-1/full', 'aws/us-east-1/spare']
    const quota = { kind: 'refused', code: 'VcpuLimitExceeded' } as const
    await world.addRegion(spare, 1, { max_hosts: 1 })
    await world.settled(spare, 1)
    world.proxy.forget()
    world.proxy.fault('RunInstances', noCapacity, quota)
    const zones = ['us-east-1a']
    await world.addRegion(full, 1, { provider_options: { zones } })
    await eventually(async () => (await blocks(full)).length === 2)
    const shown = await eventually(async () => {
      const row = await region(full)
      return row?.['launch_blocked_until'] === null ? undefined : row
    })
    expect(shown).toMatchObject({
      launch_error_code: 'quota-exceeded',
      launch_error: expect.stringMatching(/VcpuLimitExceeded.*every offering is blocked/) as string,
    })
    const [capacity, overQuota] = await blocks(full)
    expect([capacity, overQuota]).toMatchObject([
      { code: 'insufficient-capacity' },
      { code: 'quota-exceeded' },
    ])
    expect(Math.round(Number(capacity?.['seconds']))).toBe(60)
    expect(Math.round(Number(overQuota?.['seconds']))).toBe(4)
    const asked = await world.daemon.assign('ann', { regions: [full, spare] })
    expect(asked).toMatchObject({ status: 200, body: { region: spare } })
    // What is free first is asked for first, and not before.
    expect(await world.settled(full, 1)).toMatchObject([{ instance_type: 'c6a.large' }])
    const [launched] = await world.database.sql(
      `select h.created_at > b.until as is_after from fleet.hosts h, fleet.blocked_offerings b
       where h.region_id = $1 and h.status <> 'TERMINATED' and b.region_id = $1 and b.instance_type = 'c6a.large'`,
      [full],
    )
    expect(launched).toEqual({ is_after: true })
    const said = await refusals(full)
    for (const code of ['InsufficientInstanceCapacity', 'VcpuLimitExceeded']) {
      expect(said).toContainEqual(expect.stringMatching(new RegExp(`large us-east-1a on-demand: .*${code}`)))
    }
  })

  it('loses, cuts, delays or hides what it has done doubles nothing and loses nothing', async () => {
    const faults: readonly Ec2Fault[] = [
      { kind: 'reset-before' },
      { kind: 'reset-after' },
      { kind: 'silent' },
      { kind: 'stalled' },
      { kind: 'cut', passesForWhole: true },
      { kind: 'late', ms: 1500 },
    ]
    world.proxy.invisibleMs = 2000
    world.proxy.fault('RunInstances', ...faults)
    world.proxy.fault('DescribeImages', { kind: 'cut' })
    world.proxy.fault('DescribeSubnets', { kind: 'silent' })
    const ids = faults.map((fault) => `aws/us-east-1/${fault.kind}`)
    for (const id of ids) await world.addRegion(id, 1)
    for (const id of ids) await world.settled(id, 1)
    expect(world.proxy.doubled).toEqual([])
    // Each region's machine was made by one call, however often it was asked for.
    expect(world.proxy.given.size).toBe(ids.length)
    await world.drop(ids)
  })

  it('gives part of a launch keeps it, and asks for the rest of it elsewhere', async () => {
    const id = 'aws/us-east-1/part'
    world.proxy.fault('RunInstances', { kind: 'partial', machines: 1 })
    await world.addRegion(id, 2)
    const hosts = await world.settled(id, 2)
    expect(calls().map(({ offering }) => offering)).toEqual([
      'm6a.large us-east-1a on-demand',
      'm6a.large us-east-1b on-demand',
    ])
    expect(hosts.map(({ zone }) => zone).toSorted()).toEqual(['us-east-1a', 'us-east-1b'])
    expect(await blocks(id)).toMatchObject([{ zone: 'us-east-1a', code: 'insufficient-capacity' }])
    await world.drop([id])
  })

  it('keeps no client tokens, and hides for longer than it says, has its doubles ended before anybody sits there', async () => {
    const { daemon, proxy, machines } = world
    proxy.forget()
    await daemon.signal('SIGKILL')
    await daemon.start('ready', { MUSTER_AWS_CLIENT_TOKENS: 'ignored' })
    proxy.keepsTokens = false
    proxy.invisibleMs = 60_000
    proxy.fault('RunInstances', { kind: 'reset-after' }, { kind: 'reset-after' })
    const ids = ['aws/us-east-1/twice-a', 'aws/us-east-1/twice-b']
    for (const id of ids) await world.addRegion(id, 1, { max_hosts: 1 })
    await eventually(() => proxy.doubled.length === 2)
    proxy.invisibleMs = 0
    proxy.show()
    const shownAt = proxy.requests.length
    const seats = await Promise.all(
      ids.map((id, index) =>
        eventually(async () => {
          const { status, body } = await daemon.assign(`user-${index}`, { regions: [id], waitMs: 5000 })
          return status === 200 ? body : undefined
        }),
      ),
    )
    for (const [index, id] of ids.entries()) {
      // A double whose manager dials shows the launch's token once too often: then the host that has it is drained too,
      // and its session goes on.
      await eventually(async () => {
        const rows = await world.hosts(id)
        const standing = (await machines.standing()).filter(({ regionId }) => regionId === id)
        expect(rows.map((row) => row.id)).toEqual([seats[index]?.host_id])
        expect(['ACTIVE', 'DRAINING']).toContain(rows[0]?.status)
        expect(standing.map((one) => one.id)).toEqual([rows[0]?.cloud_id])
        return true
      })
      expect(await sessionOf(seats[index]!)).toBe(seats[index]?.session_id)
    }
    const rows = (await Promise.all(ids.map((id) => world.hosts(id)))).flat().map((host) => host.cloud_id)
    for (const [launchId, given] of proxy.given) {
      const doubles = given.ids.filter((id) => !rows.includes(id))
      expect(doubles, launchId).toHaveLength(1)
      const since = proxy.requests.slice(shownAt)
      const endedAt = since.findIndex(
        ({ action, parameters }) =>
          action === 'TerminateInstances' && [...parameters.values()].includes(doubles[0]!),
      )
      expect(endedAt, launchId).toBeGreaterThan(-1)
      // The sweep that found it, and those of the grace time.
      const lists = since.slice(0, endedAt).filter(({ action, parameters }) => {
        const values = [...parameters.values()]
        return (
          action === 'DescribeInstances' &&
          ids.some((id) => launchId.startsWith(`${id}:`) && values.includes(id))
        )
      })
      expect(lists.length, launchId).toBeGreaterThan(1)
      expect(lists.length, launchId).toBeLessThanOrEqual(4)
    }
  })

  describe('is asked for what cannot be', () => {
    it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
      [
        'SEV-SNP on a type without it',
        { instance_types: ['t3.large'], provider_options: { sev_snp: true } },
        /sev_snp is asked for, and t3\.large cannot do AMD SEV-SNP/,
      ],
      ['an image that is not there', { image_id: 'ami-0123' }, /there is no image ami-0123 in us-east-1/],
      [
        'a subnet that is not there',
        { provider_options: { subnets: ['subnet-0123'] } },
        /there is no subnet subnet-0123 in us-east-1/,
      ],
      [
        'options that nobody knows',
        { provider_options: { sev_snip: true } },
        /provider_options of region aws\/us-east-1\/wrong-3: .*sev_snip/,
      ],
    ])('says so of %s, and launches nothing', async (_, columns, sentence) => {
      const id = `aws/us-east-1/wrong-${wrong}`
      wrong += 1
      await world.addRegion(id, 1, columns)
      const shown = await eventually(async () => {
        const row = await region(id)
        return typeof row?.['launch_error'] === 'string' ? row : undefined
      })
      expect(shown).toMatchObject({
        launch_error_code: 'invalid-request',
        launch_error: expect.stringMatching(sentence) as string,
      })
      expect(world.proxy.countOf('RunInstances')).toBe(0)
      expect((await world.machines.standing()).filter(({ regionId }) => regionId === id)).toEqual([])
      await eventually(async () => (await refusals(id)).some((reason) => sentence.test(reason)))
      await world.drop([id])
    })
    let wrong = 0
  })
})
