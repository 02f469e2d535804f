import { expect, it } from 'vitest'

import { createHandler } from '../../../host-handlers/static/handler.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'
import { aLaunchSpec, listHosts } from '../../host-handlers/contract.ts'

const { signal } = new AbortController()
const handler = createHandler(aHandlerContext())

it('launches nothing, and says how machines come', async () => {
  await expect(handler.launch(aLaunchSpec(), signal)).rejects.toMatchObject({
    code: 'insufficient-capacity',
    message: expect.stringContaining('npx muster join') as string,
  })
})

it('lists nothing and says so, and calls gone whatever is ended', async () => {
  expect(handler.listsMachines).toBe(false)
  expect(await listHosts(handler)).toEqual([])
  expect([...(await handler.terminate(['backend:1'], signal))]).toEqual([['backend:1', 'gone']])
})

it('heeds an aborted signal', async () => {
  const stopped = AbortSignal.abort(new Error('stopping'))
  await expect(handler.launch(aLaunchSpec(), stopped)).rejects.toThrow('stopping')
  await expect(handler.terminate(['x'], stopped)).rejects.toThrow('stopping')
})
