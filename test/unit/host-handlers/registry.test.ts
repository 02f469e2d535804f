import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

import { loadHostHandler } from '../../../host-handlers/index.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'

const modulePath = fileURLToPath(new URL('../../../host-handlers/fake/handler.ts', import.meta.url))
const notAPlugin = fileURLToPath(new URL('../../../host-handlers/fake/options.ts', import.meta.url))

it.each(['local', 'fake', 'static', modulePath, `file://${modulePath}`, './host-handlers/fake/handler.ts'])(
  'loads %s',
  async (provider) => {
    const handler = await loadHostHandler(provider, aHandlerContext())
    expect(Object.keys(await handler.terminate([], new AbortController().signal))).toEqual([])
  },
)

it.each([
  ['nimbus', /use one of aws, fake, local, static/],
  ['constructor', /use one of/],
  ['/nowhere/handler.ts', /cannot be loaded/],
  [notAPlugin, /does not export "createHandler"/],
])('says what is wrong with %s', async (provider, message) => {
  const loading = loadHostHandler(provider, aHandlerContext())
  await expect(loading).rejects.toMatchObject({
    code: 'provider-unknown',
    message: expect.stringMatching(message) as string,
  })
})

it.each(['local', 'fake', 'static'])('says every fault of the options of %s', async (provider) => {
  const options = { colour: 'red', app: 1, quota: -1 }
  const loading = loadHostHandler(provider, aHandlerContext({ options }))
  await expect(loading).rejects.toMatchObject({ code: 'config-invalid' })
  await expect(loading).rejects.toThrow(/colour/)
})
