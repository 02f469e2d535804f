/** Subscriptions in the time of the real engine: polls each second, whole results, one batch of a stream at a poll. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { fillLibrary } from '../../support/library.ts'

let library: AnEndpoint

beforeAll(async () => {
  library = await anEndpoint('pglite', { timing: 'hasura' })
  await fillLibrary(library)
})
afterAll(async () => library.close())

const rename = (name: string) =>
  library.ask(
    'mutation ($name: String!) { update_author_by_pk(pk_columns: {id: 1}, _set: {name: $name}) { id } }',
    { name },
  )

it('does not see what came and went between two polls, and one batch of a stream at each', async () => {
  for (const big of [1, 2, 3])
    await library.ask(`mutation { insert_sample_one(object: {big: ${big}}) { id } }`)
  const names = library.follow('subscription { author_by_pk(id: 1) { name } }')
  const stream = library.follow(
    'subscription { sample_stream(batch_size: 1, cursor: {initial_value: {big: 0}}) { big } }',
  )
  await eventually(() => names.answers.length === 1 && stream.answers.length === 1)
  const began = performance.now()
  await eventually(() => stream.answers.length === 2)
  expect(performance.now() - began).toBeGreaterThan(200)
  // A poll has just been: there and back again before the next.
  await rename('Jane')
  await rename('Austen')
  await eventually(() => stream.answers.length === 3)
  expect(performance.now() - began).toBeGreaterThan(1_100)
  await rename('Jane')
  await eventually(() => names.answers.length === 2)
  expect(names.answers.map(({ data }) => data?.author_by_pk as unknown)).toEqual([
    { name: 'Austen' },
    { name: 'Jane' },
  ])
  const second = library.follow('subscription { author_by_pk(id: 1) { name } }')
  await eventually(() => second.answers.length === 1)
  for (const each of [names, stream, second]) each.stop()
  await eventually(() => library.endpoint.subscriptions === 0)
})

it('tells an error at each poll', async () => {
  const failing = library.follow('subscription ($day: date) { author(where: {born: {_eq: $day}}) { id } }', {
    day: 'no',
  })
  await eventually(() => failing.answers.length >= 2)
  failing.stop()
})
