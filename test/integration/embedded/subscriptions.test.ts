import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { emptyLibrary, fillLibrary } from '../../support/library.ts'

const addSample = 'mutation ($big: bigint!) { insert_sample_one(object: {big: $big}) { id } }'
const rename =
  'mutation ($name: String!) { update_author_by_pk(pk_columns: {id: 1}, _set: {name: $name}) { id } }'

describe.each(databaseKinds)('subscriptions on %s', (kind) => {
  let library: AnEndpoint
  const following: { stop: () => void }[] = []
  const follow: AnEndpoint['follow'] = (query, variables) => {
    const each = library.follow(query, variables)
    following.push(each)
    return each
  }

  beforeAll(async () => {
    library = await anEndpoint(kind)
  })
  beforeEach(async () => {
    for (const each of following.splice(0)) each.stop()
    await emptyLibrary(library)
    await fillLibrary(library)
  })
  afterAll(async () => library.close())

  it('tells a live query its answer at once, and again only when it is another', async () => {
    const live = follow('subscription { author(order_by: {id: asc}) { name } }')
    await eventually(() => live.answers.length === 1)
    await library.ask('mutation { update_author(where: {}, _set: {born: "2000-01-01"}) { affected_rows } }')
    await library.ask(rename, { name: 'Jane' })
    await eventually(() => live.answers.length > 1)
    expect(live.answers).toEqual([
      { data: { author: [{ name: 'Austen' }, { name: 'Herbert' }] } },
      { data: { author: [{ name: 'Jane' }, { name: 'Herbert' }] } },
    ])
  })

  it('tells an answer of nothing too, and hears of all tables behind a view, a filter or a relationship', async () => {
    const none = follow('subscription { books(where: {author: {name: {_eq: "Jane"}}}) { title } }')
    const view = follow('subscription { ProlificAuthor_aggregate { aggregate { count } } }')
    const nested = follow('subscription { book(isbn: "3") { author { name } loans { reader } } }')
    await eventually(() => [none, view, nested].every(({ answers }) => answers.length === 1))
    expect(none.answers[0]).toEqual({ data: { books: [] } })
    await library.ask(rename, { name: 'Jane' })
    await library.ask('mutation { delete_book(where: {author_id: {_is_null: true}}) { affected_rows } }')
    await library.ask(
      'mutation { insert_shop_loan_one(object: {isbn: "3", copy: 1, reader: "Ada"}) { copy } }',
    )
    const last = (each: { answers: readonly unknown[] }) => each.answers.at(-1)
    await eventually(() => {
      expect(last(none)).toMatchObject({ data: { books: [{ title: 'Emma' }, { title: 'Persuasion' }] } })
      expect(last(view)).toEqual({ data: { ProlificAuthor_aggregate: { aggregate: { count: 2 } } } })
      expect(last(nested)).toEqual({
        data: { book: { author: { name: 'Herbert' }, loans: [{ reader: 'Ada' }] } },
      })
      return true
    })
  })

  it('tells a newcomer to a live query what it is now', async () => {
    const query = 'subscription { author_by_pk(id: 2) { name } }'
    const first = follow(query)
    await eventually(() => first.answers.length === 1)
    const second = follow(query)
    await eventually(() => second.answers.length === 1)
    expect(second.answers).toEqual(first.answers)
    expect(first.answers).toHaveLength(1)
  })

  it('streams the rows beyond the cursor in order, in batches, and never nothing', async () => {
    for (const big of [3, 1, 2, 5, 4]) await library.ask(addSample, { big })
    const stream = follow(
      `subscription ($from: bigint!) {
        sample_stream(batch_size: 2, cursor: [{initial_value: {big: $from}, ordering: ASC}], where: {big: {_neq: 3}}) { big }
      }`,
      { from: 1 },
    )
    await eventually(() => stream.answers.length === 2)
    await library.ask(addSample, { big: 9 })
    await eventually(() => stream.answers.length === 3)
    expect(stream.answers.map(({ data }) => data?.sample_stream as unknown)).toEqual([
      [{ big: 2 }, { big: 4 }],
      [{ big: 5 }],
      [{ big: 9 }],
    ])
  })

  it('streams backwards', async () => {
    for (const big of [1, 2, 3]) await library.ask(addSample, { big })
    const stream = follow(
      'subscription { sample_stream(batch_size: 9, cursor: {initial_value: {big: 3}, ordering: DESC}) { big } }',
    )
    await eventually(() => stream.answers.length === 1)
    expect(stream.answers[0]).toEqual({ data: { sample_stream: [{ big: 2 }, { big: 1 }] } })
  })

  it('misses no row of many writers', async () => {
    const stream = follow(
      'subscription { sample_stream(batch_size: 7, cursor: {initial_value: {big: 0}}) { big } }',
    )
    for (let big = 1; big <= 60; big += 1) await library.ask(addSample, { big })
    const seen = () => stream.answers.flatMap(({ data }) => (data?.sample_stream ?? []) as { big: number }[])
    await eventually(() => seen().length >= 60)
    expect(seen().map(({ big }) => big)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1))
  })

  it('stops when it is told to', async () => {
    const live = follow('subscription { author { name } }')
    const other = follow('subscription { author { name id } }')
    await eventually(() => live.answers.length === 1 && other.answers.length === 1)
    live.stop()
    await library.ask(rename, { name: 'Jane' })
    await eventually(() => other.answers.length === 2)
    expect(live.answers).toHaveLength(1)
  })

  it('serves queries and mutations over the socket too', async () => {
    const answers: unknown[] = []
    const socket = library.client()
    for await (const answer of socket.iterate({
      query: addSample,
      variables: { big: '4611686018427387903' },
    })) {
      answers.push(answer)
    }
    for await (const answer of socket.iterate({ query: '{ sample { big } }' })) answers.push(answer)
    expect(answers).toEqual([
      { data: { insert_sample_one: { id: expect.any(Number) as number } } },
      { data: { sample: [{ big: expect.any(Number) as number }] } },
    ])
  })

  it('refuses what cannot be followed', async () => {
    const refusals = [
      'subscription { nothing { id } }',
      'subscription { a: author { id } b: author { id } }',
      'subscription { sample_stream(batch_size: 1, cursor: []) { id } }',
      'subscription { sample_stream(batch_size: 1, cursor: {initial_value: {id: 1, big: 1}}) { id } }',
      'subscription { sample_stream(batch_size: 0, cursor: {initial_value: {id: 1}}) { id } }',
    ].map((query) => follow(query))
    await eventually(() => refusals.every(({ answers }) => answers.length > 0))
    for (const { answers } of refusals) {
      expect(answers).toMatchObject([{ errors: [{ extensions: { code: 'validation-failed' } }] }])
    }
  })

  it('tells the error of a running subscription as an answer, and goes on', async () => {
    const live = follow('subscription { author(where: {id: {_eq: 1}}) { details(path: "$.n") } }')
    await eventually(() => live.answers.length === 1)
    const failing = follow('subscription ($day: date) { author(where: {born: {_eq: $day}}) { id } }', {
      day: 'no day',
    })
    await eventually(() => failing.answers.length >= 2)
    expect(failing.answers[0]).toMatchObject({ errors: [{ extensions: { code: 'data-exception' } }] })
    await library.ask(rename, { name: 'Jane' })
    expect(live.answers).toHaveLength(1)
  })
})
