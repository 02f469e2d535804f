import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import type { CloudHost, HostHandler, LaunchSpec } from '../../src/model/host-handler.ts'
import { eventually } from './eventually.ts'

/** What a handler's test provides for each test of the suite. */
export interface HandlerUnderTest {
  /** A door of this fleet to the provider; each call is as a restarted daemon would make it. */
  readonly open: (fleetId: string) => HostHandler
  /** Machines that really exist, of all fleets, whatever the handler says. */
  readonly countMachines: () => Promise<number>
  readonly close: () => Promise<void>
}

const never = new AbortController().signal

export function aLaunchSpec(overrides: Partial<LaunchSpec> = {}): LaunchSpec {
  return {
    fleetId: 'fleet-1',
    regionId: 'test/here',
    launchId: randomUUID(),
    token: randomBytes(32).toString('hex'),
    enrolmentToken: randomBytes(32).toString('hex'),
    image: 'image-1',
    version: 'demo',
    count: 2,
    instanceTypes: ['small'],
    agentsPerHost: 1,
    ...overrides,
  }
}

export async function listHosts(handler: HostHandler, regionId = 'test/here'): Promise<readonly CloudHost[]> {
  const hosts: CloudHost[] = []
  for await (const host of handler.list(regionId, never)) hosts.push(host)
  return hosts
}

/** As the executor of terminations does: until every machine is gone. */
export async function terminateAll(handler: HostHandler, cloudIds: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const answers = await handler.terminate(cloudIds, never)
      return cloudIds.every((cloudId) => answers.get(cloudId) === 'gone')
    },
    { everyMs: 50, what: 'all machines gone' },
  )
}

/** What every provider must keep: the reconciler depends on each of these. */
export function describeHandlerContract(name: string, create: () => Promise<HandlerUnderTest>): void {
  describe(`the host handler contract: ${name}`, () => {
    let provider: HandlerUnderTest
    let handler: HostHandler

    beforeEach(async () => {
      provider = await create()
      handler = provider.open('fleet-1')
    })
    afterEach(async () => provider.close())

    it('launches as many machines as asked for and lists them with their launch', async () => {
      const before = Date.now()
      const spec = aLaunchSpec({ count: 3 })
      const { cloudIds, shortfall } = await handler.launch(spec, never)
      expect(shortfall).toBeUndefined()
      expect(new Set(cloudIds).size).toBe(3)
      const listed = await listHosts(handler)
      expect(listed.map((host) => host.cloudId).sort()).toEqual([...cloudIds].sort())
      for (const host of listed) {
        expect(host.launchId).toBe(spec.launchId)
        expect(host.startedAt).toBeGreaterThanOrEqual(before - 1000)
        expect(host.startedAt).toBeLessThanOrEqual(Date.now() + 1000)
      }
    })

    it('gives the same machines for the same token, also to a restarted daemon', async () => {
      const spec = aLaunchSpec()
      const first = await handler.launch(spec, never)
      const second = await provider.open('fleet-1').launch(spec, never)
      expect(second.cloudIds).toEqual(first.cloudIds)
      expect(await listHosts(handler)).toHaveLength(2)
      await eventually(async () => (await provider.countMachines()) === 2)
    })

    it('doubles nothing when the same launch runs twice at once', async () => {
      const spec = aLaunchSpec()
      const other = provider.open('fleet-1')
      const answers = await Promise.all([handler.launch(spec, never), other.launch(spec, never)])
      expect(answers[0].cloudIds).toEqual(answers[1].cloudIds)
      await eventually(async () => (await provider.countMachines()) === 2)
    })

    it('gives other machines for another token', async () => {
      const first = await handler.launch(aLaunchSpec({ count: 1 }), never)
      const second = await handler.launch(aLaunchSpec({ count: 1 }), never)
      expect(second.cloudIds).not.toEqual(first.cloudIds)
      expect(await listHosts(handler)).toHaveLength(2)
    })

    it('shows neither other regions nor other fleets, and ends nothing of another fleet', async () => {
      const { cloudIds } = await handler.launch(aLaunchSpec({ count: 1 }), never)
      expect(await listHosts(handler, 'test/elsewhere')).toEqual([])
      const stranger = provider.open('fleet-2')
      expect(await listHosts(stranger)).toEqual([])
      await stranger.terminate(cloudIds, never)
      expect(await listHosts(handler)).toHaveLength(1)
    })

    it('ends machines: accepted, then gone, and gone again whenever asked', async () => {
      const { cloudIds } = await handler.launch(aLaunchSpec(), never)
      const [ended = '', kept = ''] = cloudIds
      const first = await handler.terminate([ended], never)
      expect([...first]).toEqual([[ended, 'accepted']])
      await terminateAll(handler, [ended])
      expect((await listHosts(handler)).map((host) => host.cloudId)).toEqual([kept])
      expect(await provider.countMachines()).toBe(1)
      const restarted = provider.open('fleet-1')
      const again = await restarted.terminate([ended, 'never-was'], never)
      expect([...again.values()]).toEqual(['gone', 'gone'])
    })

    it('does not bring ended machines back for a late repeat of their launch', async () => {
      const spec = aLaunchSpec()
      const { cloudIds } = await handler.launch(spec, never)
      await terminateAll(handler, cloudIds)
      await provider.open('fleet-1').launch(spec, never)
      expect(await provider.countMachines()).toBe(0)
      expect(await listHosts(handler)).toEqual([])
    })

    it('heeds an aborted signal', async () => {
      const signal = AbortSignal.abort(new Error('stopping'))
      await expect(handler.launch(aLaunchSpec(), signal)).rejects.toThrow('stopping')
      await expect(handler.terminate(['x'], signal)).rejects.toThrow('stopping')
      expect(await provider.countMachines()).toBe(0)
    })
  })
}
