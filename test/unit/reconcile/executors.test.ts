import { describe, expect, it } from 'vitest'

import { noFaults } from '../../../src/lib/fault-points.ts'
import type { HostHandler } from '../../../src/model/host-handler.ts'
import type { LaunchOutcome } from '../../../src/store/fleet-store.ts'
import type { ActionOf } from '../../../src/reconcile/action-queue.ts'
import { createLaunchExecutor } from '../../../src/reconcile/executors/launch.ts'
import { createTerminateExecutor } from '../../../src/reconcile/executors/terminate.ts'
import { aHost } from '../../support/factories.ts'
import { patient } from '../../support/small-fleet.ts'

const common = { id: 'test/one:1.0', regionId: 'test/one', status: 'RUNNING', nextAttemptAt: null } as const
const aLaunch: ActionOf<'launch'> = {
  ...common,
  kind: 'launch',
  target: null,
  params: { image: 'ami-2', version: '2.0.0', count: 1, instanceTypes: [], agentsPerHost: 2 },
  attempts: 1,
}
const aTermination: ActionOf<'terminate'> = {
  ...common,
  kind: 'terminate',
  target: 'h1',
  params: {},
  attempts: 1,
}
const handler: HostHandler = {
  launch: async () => ({ cloudIds: ['machine-1'] }),
  async *list() {
    // Nobody asks.
  },
  terminate: async (ids) => new Map(ids.map((id) => [id, 'gone'] as const)),
}

const trust = {
  trust: { storeLaunchToken: async () => true },
  caPins: () => ['sha256/pin'],
  tokenOf: (id: string, attempt: number) => ({
    text: `token ${id} ${attempt}`,
    id: 'token-id',
    secretHash: 'hash',
  }),
}

describe('launch', () => {
  it('stores its token before the provider is asked, and asks nobody once the lease is lost', async () => {
    const order: string[] = []
    const execute = createLaunchExecutor({
      store: { finishLaunch: async () => true },
      handlerOf: async () => ({
        ...handler,
        launch: async ({ enrolmentToken, caPins }) => {
          order.push(`launch with ${enrolmentToken}, ${caPins.join()}`)
          return { cloudIds: ['machine-1'] }
        },
      }),
      fence: () => 7,
      fleetId: 'fleet',
      ...trust,
      trust: {
        storeLaunchToken: async ({ launchId, uses }, fence) => {
          order.push(`store for ${uses} of ${launchId} by ${fence}`)
          return order.length < 3
        },
      },
      fault: noFaults,
    })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'standby' })
    const { id, params } = aLaunch
    const stored = `store for ${params.count} of ${id} by 7`
    expect(order).toEqual([stored, `launch with token ${id} 1, sha256/pin`, stored])
  })

  it('is not done before its end is stored: the lease may have been lost in the middle', async () => {
    const answers = [false, true]
    const execute = createLaunchExecutor({
      store: { finishLaunch: async () => answers.shift() ?? true },
      handlerOf: async () => handler,
      fence: () => 1,
      fleetId: 'fleet',
      ...trust,
      fault: noFaults,
    })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'not-stored' })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
  })
})

describe('a launch whose provider cannot be loaded', () => {
  const finished: LaunchOutcome[] = []
  const execute = createLaunchExecutor({
    store: {
      finishLaunch: async (_id, _fence, outcome) => {
        finished.push(outcome)
        return true
      },
    },
    handlerOf: () => Promise.reject(new Error('there is no provider "nowhere"')),
    fence: () => 1,
    fleetId: 'fleet',
    ...trust,
    fault: noFaults,
  })

  it('ends at its first attempt, so that the region can be mended', async () => {
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(finished).toEqual([
      { cloudIds: [], code: 'invalid-request', message: 'there is no provider "nowhere"' },
    ])
  })

  it('is kept at a later one: an earlier call may have started machines', async () => {
    await expect(execute({ ...aLaunch, attempts: 2 }, patient)).rejects.toThrow('nowhere')
  })
})

describe('terminate', () => {
  it("is not done before the row's end is stored", async () => {
    const answers = [false, true]
    const execute = createTerminateExecutor({
      store: {
        readHost: async () => aHost({ status: 'TERMINATING' }),
        endHost: async () => answers.shift() ?? true,
        endAction: async () => undefined,
      },
      handlerOf: async () => handler,
      fence: () => 1,
      isLaunchOpen: () => false,
    })
    expect(await execute(aTermination, patient)).toMatchObject({ outcome: 'failed', code: 'not-stored' })
    expect(await execute(aTermination, patient)).toMatchObject({ outcome: 'done' })
  })
})
