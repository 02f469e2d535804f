import { expect, test } from 'vitest'

import type { GraphqlRoute, IncomingRequest } from '../../../../src/embedded/server/graphql-route.ts'
import { createInProcessFetch } from '../../../../src/embedded/server/in-process-fetch.ts'

const url = 'http://127.0.0.1:8080/v1/graphql'

/** A route that answers when it is told to, and what it was asked. */
function aRoute() {
  const asked: IncomingRequest[] = []
  const { promise, resolve } = Promise.withResolvers<{ status: number; body: string }>()
  const route: GraphqlRoute = (request) => {
    asked.push(request)
    return promise
  }
  return { fetch: createInProcessFetch(route), asked, answer: resolve }
}

test('a request and its answer are what they would be over HTTP', async () => {
  const { fetch, asked, answer } = aRoute()
  const response = fetch(url, {
    method: 'POST',
    headers: { 'X-Hasura-Admin-Secret': 'secret' },
    body: '{"query":"{a}"}',
  })
  answer({ status: 200, body: '{"data":{"a":1}}' })
  expect((await response).headers.get('content-type')).toMatch('application/json')
  expect(await (await response).json()).toEqual({ data: { a: 1 } })
  expect(asked[0]?.headers).toEqual({ 'x-hasura-admin-secret': 'secret' })
  expect(await asked[0]?.readBody()).toBe('{"query":"{a}"}')
})

test('who gives up waits no longer, and the route can tell', async () => {
  const { fetch, asked } = aRoute()
  const patience = new AbortController()
  const response = fetch(url, { body: '{}', signal: patience.signal })
  expect(asked[0]?.hasHungUp()).toBe(false)
  patience.abort(new Error('no longer'))
  await expect(response).rejects.toThrow('no longer')
  expect(asked[0]?.hasHungUp()).toBe(true)
})

test('who has given up before asks nothing', async () => {
  const { fetch, asked } = aRoute()
  await expect(fetch(url, { body: '{}', signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow(
    'late',
  )
  expect(asked).toEqual([])
})
