import { expect, it } from 'vitest'

import { TemplateCloud } from '../../../host-handlers/template/client.ts'
import { createHandler, createTemplateHandler } from '../../../host-handlers/template/handler.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { describeHandlerContract } from '../../host-handlers/contract.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'

describeHandlerContract('template', async () => {
  const cloud = new TemplateCloud(10)
  return {
    open: (fleetId) => createTemplateHandler(cloud, { fleetId, clock: systemClock }),
    countMachines: async () => {
      const machines = await cloud.find({})
      return machines.filter((machine) => !machine.isEnded).length
    },
    close: async () => undefined,
  }
})

it('can be made from the configuration, and says what is wrong with it', () => {
  expect(() => createHandler(aHandlerContext({ options: { quota: -1, colour: 'red' } }))).toThrow(
    /quota.*colour|colour.*quota/s,
  )
})
