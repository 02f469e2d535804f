import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'

import { fastify } from 'fastify'
import { expect, it } from 'vitest'

import { hangUpSignal } from '../../../src/api/hang-up.ts'

it('a client that hung up while its token was being checked has hung up', async () => {
  const app = fastify()
  const checking = Promise.withResolvers<undefined>()
  const answered = Promise.withResolvers<boolean>()
  app.post('/', async (_request, reply) => {
    checking.resolve(undefined)
    await once(reply.raw, 'close')
    answered.resolve(hangUpSignal(reply).aborted)
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  try {
    const client = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await checking.promise
    client.destroy()
    expect(await answered.promise).toBe(true)
  } finally {
    await app.close()
  }
})
