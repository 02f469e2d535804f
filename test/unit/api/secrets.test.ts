import fc from 'fast-check'
import { expect, test } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import { createLogger } from '../../../src/lib/logger.ts'
import { aToken, anApi } from '../../support/an-api.ts'

test('no secret that comes in reaches the log or an answer, whatever goes wrong', async () => {
  const written: string[] = []
  const destination = { write: (line: string) => void written.push(line) }
  const logger = createLogger({ level: 'trace', pretty: false, destination })
  const fixture = anApi({ logger, assigner: anApi().fleet.assigner({ logger }) })
  const { app } = await createApi(fixture.options)
  fixture.fleet.latency = () => Promise.reject(new Error('the store broke'))
  const token = await aToken({ role: 'operator' })
  const secret = fc.stringMatching(/^[A-Za-z0-9]{24,40}$/)
  const target = fc.constantFrom(
    ['GET', '/v1/hosts'],
    ['GET', '/v1/decisions'],
    ['GET', '/v1/nothing'],
    ['POST', '/v1/assign'],
    ['POST', '/v1/release'],
    ['POST', '/v1/hosts/h1/drain'],
    ['PUT', '/v1/assign'],
  )
  await fc.assert(
    fc.asyncProperty(
      secret,
      target,
      fc.constantFrom('bearer', 'admin', 'broken'),
      async (word, where, how) => {
        const [method, url] = where as ['GET' | 'POST' | 'PUT', string]
        const headers: Record<string, string> =
          how === 'bearer'
            ? { authorization: `Bearer ${word}` }
            : how === 'admin'
              ? { 'x-muster-admin-secret': word }
              : { authorization: `Bearer ${token}`, cookie: word }
        const response = await app.inject({
          method,
          url,
          headers,
          ...(method !== 'GET' && { payload: { word } }),
        })
        expect(response.statusCode).toBeGreaterThanOrEqual(400)
        const told = `${written.join('')}${response.body}${JSON.stringify(response.headers)}`
        expect(told).not.toContain(word)
        expect(told).not.toContain(token)
      },
    ),
    { numRuns: 100 },
  )
  expect(written.join('')).toContain('the store broke')
  await app.close()
})
