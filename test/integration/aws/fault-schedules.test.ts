/**
 * Faults by chance, at any request, over a region that grows, is drained and shrinks, with the daemon killed once
 * or twice on the way. The same seed gives the same fault to the same request of its kind; `-t 'seed 7'` repeats one schedule.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'

import { Chance } from '../../../src/simulation/chance.ts'
import { shortLease } from '../../support/daemon.ts'
import type { Ec2Fault } from '../../support/ec2-proxy.ts'
import { eventually } from '../../support/eventually.ts'
import { describeWithMoto } from '../../support/moto.ts'
import { runs } from '../../support/thoroughness.ts'
import type { AwsWorld } from './aws-world.ts'
import { startAwsWorld } from './aws-world.ts'

const ofAnyRequest: readonly Ec2Fault[] = [
  { kind: 'refused', code: 'RequestLimitExceeded', status: 503 },
  { kind: 'reset-before' },
  { kind: 'reset-after' },
  { kind: 'stumbled' },
  { kind: 'cut' },
  { kind: 'cut', passesForWhole: true },
  { kind: 'slow', ms: 300 },
]
const noCapacity: Ec2Fault = { kind: 'refused', code: 'InsufficientInstanceCapacity', status: 500 }
const ofLaunches: readonly Ec2Fault[] = [
  ...ofAnyRequest,
  noCapacity,
  noCapacity,
  { kind: 'late', ms: 700 },
  { kind: 'silent' },
  { kind: 'stalled' },
  { kind: 'partial', machines: 1 },
]
/** How many of a hundred requests go wrong. */
const shares: Readonly<Record<string, number>> = { RunInstances: 50, TerminateInstances: 30 }

describeWithMoto('through faults by chance', () => {
  let world: AwsWorld
  beforeAll(async () => {
    world = await startAwsWorld({
      ...shortLease,
      MUSTER_CAPACITY_BLOCK_S: '1',
      MUSTER_AWS_REQUEST_TIMEOUT_S: '1.5',
    })
  })
  afterAll(async () => world.close())
  afterEach(() => world.proxy.forget())

  const seeds = Array.from({ length: runs(2, 6) }, (_, index) => index + 1)
  it.each(seeds)('seed %i leaves exactly the machines of its rows', async (seed) => {
    const { daemon, proxy, machines } = world
    const region = `aws/us-east-1/seed-${seed}`
    const maxHosts = 3
    let most = 0
    machines.watch = (standing) => {
      most = Math.max(most, standing.filter(({ regionId }) => regionId === region).length)
    }
    let reborn = Promise.resolve()
    proxy.invisibleMs = new Chance(seed).integer(0, 2) * 700
    proxy.mischief = mischiefOf(seed, {
      isTaken: (token) => proxy.knows(token),
      // One after the other: a daemon that is being started is killed once it is there.
      kill: async () => {
        const killed = reborn.then(() => daemon.signal('SIGKILL'))
        reborn = killed.then(() => daemon.start('alive'))
        await killed
      },
    })

    const atLeast = (count: number) =>
      eventually(
        async () => {
          await reborn
          const hosts = await world.hosts(region)
          return hosts.filter(({ status }) => status === 'ACTIVE').length >= count ? hosts : undefined
        },
        {
          everyMs: 100,
          what: `${count} hosts in ${region}\n${daemon.output.slice(-6000)}`,
        },
      )
    await world.addRegion(region, 1, { max_hosts: maxHosts })
    const [host] = await atLeast(1)
    await world.setRegion(region, { target_free_agents: 2 })
    await eventually(async () => {
      await reborn
      const { status } = await daemon.post(`/v1/hosts/${encodeURIComponent(host?.id ?? '')}/drain`)
      return status === 202 || status === 409
    })
    await atLeast(2)
    await world.setRegion(region, { target_free_agents: 1 })

    // It goes on while the region shrinks, and then EC2 is as it should be.
    await eventually(async () => {
      await reborn
      return (await world.hosts(region)).some(({ status }) => status !== 'ACTIVE')
    })
    proxy.mischief = () => undefined
    await reborn
    await world.settled(region, 1, 90_000)
    expect(proxy.doubled).toEqual([])
    expect(most).toBeLessThanOrEqual(maxHosts)
    await world.drop([region])
  })
})

/** One or two of the first requests end the daemon; of the others, each kind has its own chances. */
function mischiefOf(
  seed: number,
  { isTaken, kill }: { isTaken: (token: string | null) => boolean; kill: () => Promise<void> },
): (action: string, parameters: URLSearchParams) => Ec2Fault | undefined {
  const chance = new Chance(seed * 7919)
  const killAt = new Set([chance.integer(2, 30), ...(chance.happens(0.5) ? [chance.integer(2, 12)] : [])])
  const instant = () => chance.pick(['request', 'answer', 'sent'] as const)
  const chances = new Map<string, Chance>()
  let count = 0
  return (action, parameters) => {
    count += 1
    if (killAt.has(count)) {
      return { kind: 'pause', at: instant(), then: () => kill().then(() => 'dropped' as const) }
    }
    const own = chances.get(action) ?? new Chance(seed * 104_729 + action.length * 31 + action.charCodeAt(0))
    chances.set(action, own)
    const isHit = own.happens((shares[action] ?? 8) / 100)
    const fault = own.pick(action === 'RunInstances' ? ofLaunches : ofAnyRequest)
    // What was accepted once is not refused when it is repeated.
    if (!isHit || (fault === noCapacity && isTaken(parameters.get('ClientToken')))) return undefined
    return fault
  }
}
