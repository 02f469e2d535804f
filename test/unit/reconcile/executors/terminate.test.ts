import { describe, expect, it } from 'vitest'

import type { HostHandler } from '../../../../src/model/host-handler.ts'
import type { ActionOf } from '../../../../src/reconcile/action-queue.ts'
import { createTerminateExecutor } from '../../../../src/reconcile/executors/terminate.ts'
import { aHost } from '../../../support/factories.ts'
import { patient } from '../../../support/small-fleet.ts'

const common = { id: 'test/one:1.0', regionId: 'test/one', status: 'RUNNING', nextAttemptAt: null } as const
const aTermination: ActionOf<'terminate'> = {
  ...common,
  kind: 'terminate',
  target: 'h1',
  params: {},
  attempts: 1,
}
const handler: HostHandler = {
  launch: async () => ({ cloudIds: [] }),
  async *list() {
    // Nobody asks.
  },
  terminate: async (ids) => new Map(ids.map((id) => [id, 'gone'] as const)),
}

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
