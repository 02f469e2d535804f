import { expect, test } from 'vitest'

import { createHasuraClient } from '../../../src/hasura/client.ts'
import { safeFields } from '../../../src/lib/safe-log.ts'

test.each([
  ['an error', { errors: [{ message: 'no such row', extensions: { code: 'unexpected', path: '$' } }] }],
  ['nothing that it knows', { detail: 'proxy' }],
])(
  'a request that is answered with %s is not repeated in the error, since that is logged',
  async (_what, body) => {
    const client = createHasuraClient({
      ...{ url: 'http://127.0.0.1/v1/graphql', adminSecret: 'the-admin-secret' },
      fetch: () => Promise.resolve(Response.json(body, { status: 400 })),
    })
    const failure: unknown = await client
      .request('query Find($hash: String!) { rows(where: {hash: {_eq: $hash}}) { id } }', {
        hash: 'a-token-hash',
      })
      .catch((error: unknown) => error)
    const logged = JSON.stringify(safeFields(failure as Error))
    expect(logged).toContain('127.0.0.1/v1/graphql answers')
    expect(logged).not.toMatch(/a-token-hash|the-admin-secret|query Find/)
  },
)
