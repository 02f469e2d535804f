/** Pull the daemon's plug at each request of a launch to EC2: nothing is launched twice, nothing is forgotten. */
import { DescribeLaunchTemplatesCommand } from '@aws-sdk/client-ec2'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'

import { shortLease } from '../../support/daemon.ts'
import type { Ec2Fault } from '../../support/ec2-proxy.ts'
import { describeWithMoto } from '../../support/moto.ts'
import { runs } from '../../support/thoroughness.ts'
import type { AwsWorld } from './aws-world.ts'
import { startAwsWorld } from './aws-world.ts'

type Instant = Extract<Ec2Fault, { kind: 'pause' }>['at']

/** In the order of how much is left half done: what a lean run shows stands for the others. */
const points: readonly (readonly [string, Instant])[] = [
  ['RunInstances', 'answer'],
  // The look by tag before a repeat.
  ['DescribeInstances', 'answer'],
  ['RunInstances', 'request'],
  ['RunInstances', 'sent'],
  ['DescribeInstances', 'request'],
  ['DescribeInstances', 'sent'],
  ...each(['CreateFleet', 'CreateLaunchTemplate', 'DeleteLaunchTemplate'], ['request', 'answer', 'sent']),
  // What only reads leaves nothing behind at EC2: whether it was answered is no difference.
  ...each(
    [
      'DescribeImages',
      'DescribeSecurityGroups',
      'DescribeSubnets',
      'DescribeInstanceTypes',
      'DescribeInstanceTypeOfferings',
    ],
    ['sent'],
  ),
]

function each(
  actions: readonly string[],
  instants: readonly Instant[],
): readonly (readonly [string, Instant])[] {
  return actions.flatMap((action) => instants.map((at) => [action, at] as const))
}

describeWithMoto('kill -9 of the daemon at each request of a launch', () => {
  let world: AwsWorld
  beforeAll(async () => {
    world = await startAwsWorld(shortLease)
  })
  afterAll(async () => world.close())
  afterEach(() => world.proxy.forget())

  /** The next such request ends the daemon; what it has read by then is its own affair. */
  const pullAt = (action: string, at: Instant): void => {
    const then = async () => {
      await world.daemon.signal('SIGKILL')
      // A request that was not forwarded yet dies with the daemon, and so does an answer.
      return 'dropped' as const
    }
    let isArmed = true
    world.proxy.mischief = (asked, parameters) => {
      const isIt =
        asked === action &&
        (action !== 'DescribeInstances' || [...parameters.values()].includes('tag:muster:launch'))
      if (!isIt || !isArmed) return undefined
      isArmed = false
      return { kind: 'pause', at, then }
    }
    // Nobody looks for what was never sent.
    if (action === 'DescribeInstances') world.proxy.fault('RunInstances', { kind: 'reset-after' })
  }

  it.each([
    ['keeps', 'honoured', runs(2, points.length)],
    ['ignores', 'ignored', runs(1, 4)],
  ])(
    'leaves each region its one machine where EC2 %s client tokens',
    async (_, tokens, count) => {
      const { daemon, proxy } = world
      proxy.keepsTokens = tokens === 'honoured'
      // Where tokens are kept, they alone must do: the look before a repeat finds nothing yet.
      if (proxy.keepsTokens) proxy.invisibleMs = 20_000
      const environment = { MUSTER_AWS_CLIENT_TOKENS: tokens }
      await daemon.signal('SIGKILL')
      await daemon.start('alive', environment)
      const killedAt = points.slice(0, count)
      const idOf = ([action, at]: (typeof points)[number]) => `aws/us-east-1/${tokens}-${action}-${at}`
      for (const point of killedAt) {
        // The launch of the point before may not be over: it is cut short again.
        pullAt(...point)
        const isFleet = /Fleet|Template/.test(point[0])
        const fleet = { lifecycles: ['spot'], allocation: 'fleet' }
        await world.addRegion(idOf(point), 1, { provider_options: isFleet ? fleet : {} })
        expect(await daemon.exit(), idOf(point)).toBe('SIGKILL')
        await daemon.start('alive', environment)
      }
      for (const point of killedAt) await world.settled(idOf(point), 1, 120_000)
      expect(proxy.doubled).toEqual([])
      const { LaunchTemplates } = await world.direct.send(new DescribeLaunchTemplatesCommand({}))
      expect(LaunchTemplates).toEqual([])
      // No launch was given up for another.
      expect(proxy.given.size).toBe(killedAt.length)
      proxy.invisibleMs = 0
      proxy.show()
      await world.drop(killedAt.map(idOf))
      // Each point starts a daemon anew, and each launch is cut short up to twice.
    },
    900_000,
  )
})
