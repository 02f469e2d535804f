import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
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

  it.each([
    {
      column: 'big',
      type: 'bigint',
      values: ['9007199254740993', '9007199254740994', '4611686018427387903'],
    },
    {
      column: 'at',
      type: 'timestamptz',
      values: [
        '2026-01-01T00:00:00.000001+00:00',
        '2026-01-01T00:00:00.000002+00:00',
        '2026-07-01T00:00:00+00:00',
      ],
    },
    { column: 'select', type: 'String', values: ['$1', 'it\'s \\ {"a",NULL}', 'é'] },
    { column: 'exact', type: 'numeric', values: ['0.1', '0.10000000000000000001', '12345678901234567890.5'] },
    { column: 'day', type: 'date', values: ['1999-12-31', '2000-01-01', '2026-11-21'] },
  ])('moves a cursor on $type exactly, row by row, and passes rows without one over', async (sample) => {
    const { column, type, values } = sample
    const insert = `mutation ($objects: [sample_insert_input!]!) { insert_sample(objects: $objects) { affected_rows } }`
    // In no order, and one with null.
    const objects = [values[2], values[0], null, values[1]].map((value) => ({ [column]: value }))
    const added = await library.ask(insert, { objects })
    expect(added.errors).toBeUndefined()
    const query = (ordering: string) =>
      `subscription ($from: ${type}!) { sample_stream(batch_size: 1, cursor: {initial_value: {${column}: $from}, ordering: ${ordering}}) { value: ${column} } }`
    const [up, down] = [follow(query('ASC'), { from: values[0] }), follow(query('DESC'), { from: values[2] })]
    const count = (each: { answers: readonly Answer[] }) => each.answers.length
    await eventually(() => count(up) === 2 && count(down) === 2, {
      what: JSON.stringify([up.answers, down.answers]),
    })
    const rows = ({ answers }: { answers: readonly Answer[] }) =>
      answers.map(({ data }) => String((data?.sample_stream as { value: unknown }[])[0]?.value))
    const seen = (texts: readonly (string | undefined)[]) =>
      texts.map((text) => (type === 'bigint' || type === 'numeric' ? String(Number(text)) : text))
    expect(rows(up)).toEqual(seen([values[1], values[2]]))
    expect(rows(down)).toEqual(seen([values[1], values[0]]))
  })

  it('does not send a batch that reads like the one before', async () => {
    for (const big of [1, 2, 3]) await library.ask(addSample, { big })
    await library.ask(
      'mutation { update_sample(where: {big: {_eq: 3}}, _set: {flag: true}) { affected_rows } }',
    )
    const stream = follow(
      'subscription { sample_stream(batch_size: 1, cursor: {initial_value: {big: 0}}) { flag } }',
    )
    await eventually(() => stream.answers.length === 2)
    expect(stream.answers).toEqual([
      { data: { sample_stream: [{ flag: null }] } },
      { data: { sample_stream: [{ flag: true }] } },
    ])
  })

  it('follows whatever can be asked: functions, aggregates, fragments, variables, what is left out or in', async () => {
    const cases = [
      [
        'subscription ($s: String!) { search_books(args: {search: $s}, order_by: {isbn: asc}) { title } }',
        { s: 'emma' },
      ],
      ['subscription { firstAuthor { name } }', {}],
      [
        'subscription { book_aggregate(where: {pageCount: {_gt: 200}}) { aggregate { count sum { pageCount } } nodes { isbn } } }',
        {},
      ],
      [
        'subscription { author_by_pk(id: 1) { ...Names } } fragment Names on author { name books(order_by: {isbn: asc}) { title } }',
        {},
      ],
      [
        'subscription ($with: Boolean!) { author_by_pk(id: 1) { name born @include(if: $with) id @skip(if: $with) } }',
        { with: true },
      ],
      ['subscription ($id: Int = 2) { author_by_pk(id: $id) { name } }', {}],
      ['subscription { __typename }', {}],
    ] as const
    const all = cases.map(([query, variables]) => follow(query, variables))
    await eventually(() => all.every(({ answers }) => answers.length === 1))
    expect(all.map(({ answers: [answer] }) => answer?.data)).toEqual([
      { search_books: [{ title: 'Emma' }] },
      { firstAuthor: { name: 'Austen' } },
      {
        book_aggregate: {
          aggregate: { count: 3, sum: { pageCount: 1327 } },
          nodes: expect.any(Array) as unknown,
        },
      },
      { author_by_pk: { name: 'Austen', books: [{ title: 'Emma' }, { title: 'Persuasion' }] } },
      { author_by_pk: { name: 'Austen', born: '1775-12-16' } },
      { author_by_pk: { name: 'Herbert' } },
      { __typename: 'subscription_root' },
    ])
    await library.ask(rename, { name: 'Jane' })
    // A function's tables are not known: it hears of any.
    await eventually(() => all[1]?.answers.length === 2 && all[3]?.answers.length === 2)
  })

  it('looks once for many with different values, each of whom hears its own', async () => {
    const ids = Array.from({ length: 130 }, (_, index) => index - 60)
    const all = ids.map((id) => follow('subscription ($id: Int!) { author_by_pk(id: $id) { name } }', { id }))
    await eventually(() => all.every(({ answers }) => answers.length === 1))
    const bad = follow('subscription ($day: date) { author(where: {born: {_eq: $day}}) { id } }', {
      day: 'no',
    })
    const good = follow('subscription ($day: date) { author(where: {born: {_eq: $day}}) { id } }', {
      day: '1775-12-16',
    })
    await library.ask(rename, { name: 'Jane' })
    await eventually(
      () => all[61]?.answers.length === 2 && bad.answers.length > 0 && good.answers.length === 1,
    )
    expect(all.map(({ answers }) => answers.length)).toEqual(ids.map((id) => (id === 1 ? 2 : 1)))
    expect(all[62]?.answers).toEqual([{ data: { author_by_pk: { name: 'Herbert' } } }])
    expect(good.answers).toEqual([{ data: { author: [{ id: 1 }] } }])
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
