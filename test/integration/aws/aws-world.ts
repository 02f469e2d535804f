/**
 * The whole daemon with its regions on EC2: the real program, PostgreSQL, moto's API server behind the proxy, and
 * machines that boot from what they were told. Rows are only looked at; regions are what a person writes.
 */
import { resolve } from 'node:path'
import {
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2'
import { expect } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { Ec2Machines } from '../../support/ec2-machines.ts'
import { Ec2Proxy } from '../../support/ec2-proxy.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { freePort } from '../../support/free-port.ts'
import { startMoto } from '../../support/moto.ts'

const root = resolve(import.meta.dirname, '../../..')
const credentials = { accessKeyId: 'test', secretAccessKey: 'the-secret-of-the-account' }

export interface HostOfRegion {
  readonly id: string
  readonly status: string
  readonly cloud_id: string | null
  readonly launch_id: string
  readonly instance_type: string
  readonly zone: string
  readonly lifecycle: string
}

export interface AwsWorld {
  readonly proxy: Ec2Proxy
  /** Straight to moto, past every fault. */
  readonly direct: EC2Client
  readonly machines: Ec2Machines
  readonly database: FleetDatabase
  readonly daemon: Daemon
  readonly fleetId: string
  /** In us-east-1a and us-east-1b. */
  readonly subnets: readonly string[]
  /** A machine that somebody else runs in the same account; gives its id. */
  runForeign(tags: Readonly<Record<string, string>>): Promise<string>
  /** A region of one agent a host that keeps so many hosts; `columns` override. */
  addRegion(id: string, hosts: number, columns?: RegionColumns): Promise<void>
  setRegion(id: string, columns: RegionColumns): Promise<void>
  /** Those that have not ended. */
  hosts(regionId: string): Promise<readonly HostOfRegion[]>
  /** All hosts are ACTIVE and as many as are named, and EC2 lists exactly their machines. */
  settled(regionId: string, hosts: number, timeoutMs?: number): Promise<readonly HostOfRegion[]>
  /** Nothing more is wanted of these regions; resolves once their hosts and machines have ended. */
  drop(regionIds: readonly string[]): Promise<void>
  close(): Promise<void>
}

export interface RegionColumns extends Readonly<Record<string, unknown>> {
  /** Over the world's own. */
  readonly provider_options?: Readonly<Record<string, unknown>>
}

export async function startAwsWorld(environment: Readonly<Record<string, string>> = {}): Promise<AwsWorld> {
  const moto = await startMoto()
  const proxy = await new Ec2Proxy({ target: moto.url }).start()
  const direct = new EC2Client({ region: 'us-east-1', endpoint: moto.url, credentials })
  const { ImageId: image = '' } = await direct.send(
    new RegisterImageCommand({ Name: 'muster', Architecture: 'x86_64', RootDeviceName: '/dev/sda1' }),
  )
  const { Subnets = [] } = await direct.send(new DescribeSubnetsCommand({}))
  const inZone = (zone: string) => Subnets.find((one) => one.AvailabilityZone === zone)
  const subnets = ['us-east-1a', 'us-east-1b'].map((zone) => inZone(zone)?.SubnetId ?? '')
  const { SecurityGroups = [] } = await direct.send(
    new DescribeSecurityGroupsCommand({
      Filters: [{ Name: 'vpc-id', Values: [inZone('us-east-1a')?.VpcId ?? ''] }],
    }),
  )
  const ownOptions = {
    subnets,
    security_groups: [SecurityGroups[0]?.GroupId],
    app: 'hello-agent',
    agent_command: [process.execPath, `${root}/examples/hello-agent/agent.ts`],
    manager: { program: [process.execPath, `${root}/src/main.ts`] },
  }
  const machines = await new Ec2Machines(direct).start()
  const database = await fleetDatabase({ connections: 3 })
  const managerPort = `${await freePort()}`
  const daemon = await startDaemon({
    databaseUrl: database.url,
    environment: {
      MUSTER_SEED: 'none',
      MUSTER_MANAGER_PORT: managerPort,
      MUSTER_MANAGER_ADVERTISE: `127.0.0.1:${managerPort}`,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      MUSTER_AWS_ENDPOINT: proxy.url,
      MUSTER_AWS_VISIBILITY_S: '1',
      // Longer than any test hides a machine: what is hidden is not gone.
      MUSTER_SWEEP_MISSING_S: '30',
      MUSTER_AWS_REQUEST_TIMEOUT_S: '3',
      ...environment,
    },
  })

  const [settings] = await database.sql('select fleet_id from fleet.settings')
  const fleetId = String(settings?.['fleet_id'])
  const valueOf = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : value)
  const filledIn = ({ provider_options: given, ...columns }: RegionColumns) => ({
    ...columns,
    ...(given === undefined ? {} : { provider_options: { ...ownOptions, ...given } }),
  })
  const hosts = async (regionId: string) =>
    (await database.sql(
      `select * from fleet.hosts where region_id = $1 and status <> 'TERMINATED' order by cloud_id`,
      [regionId],
    )) as HostOfRegion[]

  const setRegion = async (id: string, columns: RegionColumns) => {
    const row: Record<string, unknown> = filledIn(columns)
    const names = Object.keys(row)
    await database.sql(
      `update fleet.regions set ${names.map((name, index) => `${name} = $${index + 2}`).join(', ')} where id = $1`,
      [id, ...names.map((name) => valueOf(row[name]))],
    )
  }
  const settled = (regionId: string, count: number, timeoutMs = 100_000) =>
    eventually(
      async () => {
        const rows = await hosts(regionId)
        const standing = await machines.standing()
        const listed = standing.filter((one) => one.fleetId === fleetId && one.regionId === regionId)
        expect(rows.map(({ status }) => status)).toEqual(Array.from({ length: count }, () => 'ACTIVE'))
        expect(listed.map(({ id }) => id)).toEqual(rows.map((row) => row.cloud_id))
        return rows
      },
      { timeoutMs, everyMs: 400, what: `${count} ACTIVE hosts in ${regionId}, and no other machine` },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${daemon.output.slice(-6000)}`, { cause: error })
    })

  return {
    proxy,
    direct,
    machines,
    database,
    daemon,
    fleetId,
    subnets,
    hosts,
    runForeign: async (tags) => {
      const { Instances = [] } = await direct.send(
        new RunInstancesCommand({
          ImageId: image,
          MinCount: 1,
          MaxCount: 1,
          TagSpecifications: [
            {
              ResourceType: 'instance',
              Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
            },
          ],
        }),
      )
      return Instances[0]?.InstanceId ?? ''
    },
    addRegion: async (id, count, columns = {}) => {
      const { image_id: imageId = image, ...rest } = columns
      const row: Record<string, unknown> = filledIn({
        id,
        provider: 'aws',
        agents_per_host: 1,
        target_free_agents: count,
        max_hosts: count + 2,
        instance_types: ['m6a.large', 'c6a.large'],
        provider_options: {},
        ...rest,
      })
      const names = Object.keys(row)
      const places = names.map((_, index) => `$${index + 1}`)
      await database.sql(
        `insert into fleet.regions (${names.join(', ')}) values (${places.join(', ')})`,
        names.map((name) => valueOf(row[name])),
      )
      await database.sql(
        `insert into fleet.images (id, region_id, image_id, version, status) values ($1, $2, $3, 'demo', 'ACTIVE')`,
        [`${id}/image`, id, imageId],
      )
    },
    setRegion,
    settled,
    drop: async (regionIds) => {
      for (const id of regionIds) await setRegion(id, { target_free_agents: 0 })
      for (const id of regionIds) await settled(id, 0)
    },
    close: async () => {
      await daemon.dispose()
      await machines.stop()
      await database.close()
      direct.destroy()
      await proxy.stop()
      await moto.stop()
    },
  }
}
