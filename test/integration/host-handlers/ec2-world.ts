/** Moto behind the proxy, with an image, a network and doors of fleets to it: what every test of `aws` begins with. */
import { randomUUID } from 'node:crypto'
import {
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  EC2Client,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2'

import { createHandler } from '../../../host-handlers/aws/handler.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { Clock } from '../../../src/lib/clock.ts'
import type { HostHandler, ProviderRegion } from '../../../src/model/host-handler.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'
import { Ec2Proxy } from '../../support/ec2-proxy.ts'
import { startMoto } from '../../support/moto.ts'

export interface Ec2World {
  readonly proxy: Ec2Proxy
  /** Straight to moto, past every fault. */
  readonly direct: EC2Client
  /** A region of its own, in which nothing is yet. */
  readonly aRegion: (providerOptions?: Readonly<Record<string, unknown>>) => ProviderRegion
  readonly open: (fleetId: string, options?: Readonly<Record<string, unknown>>, clock?: Clock) => HostHandler
  /** Machines of a region that are not ended, of all fleets. */
  readonly standing: (regionId: string) => Promise<readonly string[]>
  readonly close: () => Promise<void>
}

export const secretKey = 'the-secret-of-the-account'
const credentials = { accessKeyId: 'test', secretAccessKey: secretKey }

export async function startEc2World(): Promise<Ec2World> {
  const moto = await startMoto()
  const proxy = await new Ec2Proxy({ target: moto.url }).start()
  const direct = new EC2Client({ region: 'us-east-1', endpoint: moto.url, credentials })
  const { ImageId = '' } = await direct.send(
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
  return {
    proxy,
    direct,
    aRegion: (providerOptions = {}) => ({
      id: `aws/us-east-1/${randomUUID()}`,
      instanceTypes: ['m6a.large', 'c6a.large'],
      agentsPerHost: null,
      image: ImageId,
      providerOptions: {
        subnets,
        security_groups: [SecurityGroups[0]?.GroupId],
        app: 'hello-agent',
        agent_command: ['/usr/local/bin/hello-agent'],
        ...providerOptions,
      },
    }),
    open: (fleetId, options = {}, clock = systemClock) =>
      createHandler(
        aHandlerContext({
          fleetId,
          clock,
          options: { endpoint: proxy.url, visibility_s: 0, request_timeout_s: 20, page_size: 5, ...options },
          environment: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: secretKey },
          daemonAddresses: () => ['daemon.example:7011'],
        }),
      ),
    standing: async (regionId) => {
      const Filters = [
        { Name: 'tag:muster:region', Values: [regionId] },
        { Name: 'instance-state-name', Values: ['pending', 'running', 'stopping', 'stopped'] },
      ]
      const { Reservations = [] } = await direct.send(new DescribeInstancesCommand({ Filters }))
      return Reservations.flatMap((one) => (one.Instances ?? []).map((instance) => instance.InstanceId ?? ''))
    },
    close: async () => {
      direct.destroy()
      await proxy.stop()
      await moto.stop()
    },
  }
}
