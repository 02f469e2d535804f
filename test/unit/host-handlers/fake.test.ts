import { describe, expect, it } from 'vitest'

import type { FakeFault } from '../../../host-handlers/fake/cloud.ts'
import { FakeCloud } from '../../../host-handlers/fake/cloud.ts'
import { createFakeHandler } from '../../../host-handlers/fake/handler.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { LaunchSpec } from '../../../src/model/host-handler.ts'
import { launchErrorCodes } from '../../../src/model/host-handler.ts'
import { aLaunchSpec, describeHandlerContract, listHosts } from '../../host-handlers/contract.ts'
import { TestClock } from '../../support/test-clock.ts'

const { signal } = new AbortController()

describeHandlerContract('fake', async () => {
  const cloud = new FakeCloud({ clock: systemClock, launchMs: 1, terminateMs: 5 })
  return {
    open: (fleetId) => createFakeHandler(cloud, fleetId),
    countMachines: async () => cloud.machines.length,
    close: async () => undefined,
    refuseNext: () => {
      cloud.fault('launch', { kind: 'refused', code: 'quota-exceeded' })
      return 'quota-exceeded'
    },
    loseNextAnswer: () => cloud.fault('launch', { kind: 'lost-reply' }),
    givePartNext: (machines) =>
      cloud.fault('launch', { kind: 'partial', machines, code: 'insufficient-capacity' }),
  }
})

describe('the fake cloud', () => {
  const aCloud = (quota?: number) => {
    const cloud = new FakeCloud({ clock: systemClock, quota })
    return { cloud, handler: createFakeHandler(cloud, 'fleet-1') }
  }

  it.each(launchErrorCodes)(
    'refuses a launch with %s when told to, once, and carries nothing out',
    async (code) => {
      const { cloud, handler } = aCloud()
      cloud.fault('launch', { kind: 'refused', code })
      const spec = aLaunchSpec()
      await expect(handler.launch(spec, signal)).rejects.toMatchObject({ name: 'LaunchError', code })
      expect(cloud.machines).toEqual([])
      expect((await handler.launch(spec, signal)).cloudIds).toHaveLength(2)
    },
  )

  it('carries a launch out whose reply is lost, and answers its repeat with the same machines', async () => {
    const { cloud, handler } = aCloud()
    cloud.fault('launch', { kind: 'lost-reply' })
    const spec = aLaunchSpec()
    await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'unknown' })
    const existing = cloud.machines.map((machine) => machine.cloudId)
    expect(existing).toHaveLength(2)
    expect((await handler.launch(spec, signal)).cloudIds).toEqual(existing)
    expect(cloud.callsOf('launch')).toBe(2)
  })

  it('launches fewer machines than asked for, by its quota and when told to', async () => {
    const { cloud, handler } = aCloud(3)
    cloud.fault('launch', { kind: 'partial', machines: 1, code: 'insufficient-capacity' })
    const partial = await handler.launch(aLaunchSpec(), signal)
    expect(partial).toMatchObject({ shortfall: { code: 'insufficient-capacity' } })
    expect(partial.cloudIds).toHaveLength(1)
    const bounded = await handler.launch(aLaunchSpec({ count: 5 }), signal)
    expect(bounded).toMatchObject({ shortfall: { code: 'quota-exceeded' } })
    expect(bounded.cloudIds).toHaveLength(2)
    await expect(handler.launch(aLaunchSpec(), signal)).rejects.toMatchObject({ code: 'quota-exceeded' })
  })

  it('hides fresh machines from lists for a while, and gives the same refusal to a token again', async () => {
    const clock = new TestClock()
    let fault: FakeFault | undefined = { kind: 'refused', code: 'insufficient-capacity' }
    const cloud = new FakeCloud({ clock, hiddenMs: 5_000, launchFault: () => fault })
    const handler = createFakeHandler(cloud, 'fleet-1')
    const spec = aLaunchSpec()
    await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'insufficient-capacity' })
    fault = undefined
    await expect(handler.launch(spec, signal)).rejects.toMatchObject({ code: 'insufficient-capacity' })
    const launching = handler.launch({ ...spec, token: 'b'.repeat(64) }, signal)
    await clock.advance(4_999)
    expect((await launching).cloudIds).toHaveLength(2)
    expect(await listHosts(handler)).toEqual([])
    await clock.advance(1)
    expect(await listHosts(handler)).toHaveLength(2)
  })

  it('makes machines anew where tokens are ignored, and looks for them before a repeat, once they can be seen', async () => {
    const clock = new TestClock()
    const cloud = new FakeCloud({ clock, hiddenMs: 5_000, keepsTokens: false })
    const handler = createFakeHandler(cloud, 'fleet-1')
    const spec = aLaunchSpec()
    const launch = async (changes: Partial<LaunchSpec>) => {
      const launching = handler.launch({ ...spec, ...changes }, signal)
      await clock.advance(5_000)
      return (await launching).cloudIds
    }
    const first = await launch({ isRepeat: false })
    expect(await launch({ isRepeat: true })).toEqual(first)
    expect(await launch({ isRepeat: false })).not.toEqual(first)
    expect(cloud.machines).toHaveLength(4)
  })

  it('refuses a token that is used for another request', async () => {
    const { handler } = aCloud()
    const spec = aLaunchSpec()
    await handler.launch(spec, signal)
    const other = handler.launch({ ...spec, count: 3 }, signal)
    await expect(other).rejects.toMatchObject({ code: 'invalid-request' })
  })

  it('loses a machine when told to, and fails lists and terminations', async () => {
    const { cloud, handler } = aCloud()
    const { cloudIds } = await handler.launch(aLaunchSpec(), signal)
    cloud.lose(cloudIds[0]!)
    expect((await listHosts(handler)).map((host) => host.cloudId)).toEqual([cloudIds[1]])
    cloud.fault('list', { kind: 'refused', code: 'throttled' })
    await expect(listHosts(handler)).rejects.toMatchObject({ code: 'throttled' })
    cloud.fault('terminate', { kind: 'lost-reply' })
    await expect(handler.terminate(cloudIds, signal)).rejects.toMatchObject({ code: 'unknown' })
    expect(cloud.machines).toEqual([])
  })
})
