import { describe, expect, it } from 'vitest'

import { FakeCloud } from '../../../host-handlers/fake/cloud.ts'
import { createFakeHandler } from '../../../host-handlers/fake/handler.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { launchErrorCodes } from '../../../src/model/host-handler.ts'
import { aLaunchSpec, describeHandlerContract, listHosts } from '../../host-handlers/contract.ts'

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
