import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint, Data } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { fillLibrary } from '../../support/library.ts'

describe.each(databaseKinds)('queries on %s', (kind) => {
  let library: AnEndpoint
  const ask = async (query: string, variables?: unknown): Promise<Data> => {
    const { data, errors } = await library.ask(query, variables)
    expect(errors).toBeUndefined()
    return data!
  }
  const titles = async (args: string, variables?: unknown): Promise<string[]> => {
    const declared = variables === undefined ? '' : 'query ($where: book_bool_exp!)'
    const data = await ask(`${declared} { books(${args}) { title } }`, variables)
    return (data.books as { title: string }[]).map(({ title }) => title)
  }

  beforeAll(async () => {
    library = await anEndpoint(kind)
    await fillLibrary(library)
  })
  afterAll(async () => library.close())

  it('filters by every kind of operand', async () => {
    expect(await titles('where: {title: {_eq: "Emma"}}')).toEqual(['Emma'])
    expect(await titles('where: {pageCount: {_gt: 300}}, order_by: {title: asc}')).toEqual(['Dune', 'Emma'])
    expect(await titles('where: {isbn: {_in: ["1", "3"]}}, order_by: {isbn: asc}')).toEqual(['Emma', 'Dune'])
    expect(await titles('where: {isbn: {_in: []}}')).toEqual([])
    expect(await titles('where: {isbn: {_nin: []}}')).toHaveLength(4)
    expect(await titles('where: {title: {_ilike: "p%"}}')).toEqual(['Persuasion'])
    expect(await titles('where: {author_id: {_is_null: true}}')).toEqual(['Beowulf'])
    expect(await titles('where: {price: {_lte: "7.25"}}')).toEqual(['Persuasion'])
    expect(await titles('where: {tags: {_contains: ["desert"]}}')).toEqual(['Dune'])
  })

  it('joins filters as the words say, an empty one being true and a lone one a list', async () => {
    expect(await titles('where: {}')).toHaveLength(4)
    expect(await titles('where: {_and: {title: {_eq: "Emma"}}}')).toEqual(['Emma'])
    expect(await titles('where: {_or: []}')).toEqual([])
    expect(await titles('where: {_not: {pageCount: {_lt: 300}}}, order_by: {isbn: asc}')).toEqual([
      'Emma',
      'Dune',
    ])
    const either = { _or: [{ title: { _eq: 'Emma' } }, { isbn: { _eq: '3' }, pageCount: { _gt: 1 } }] }
    expect(await titles('where: $where, order_by: {isbn: asc}', { where: either })).toEqual(['Emma', 'Dune'])
  })

  it('takes thousands of ids', async () => {
    const isbns = Array.from({ length: 5_000 }, (_, index) => String(index))
    const data = await ask('query ($isbns: [String!]!) { books(where: {isbn: {_in: $isbns}}) { isbn } }', {
      isbns,
    })
    expect(data.books).toHaveLength(4)
  })

  it('follows relationships in filters, orders and selections', async () => {
    expect(await titles('where: {author: {name: {_eq: "Austen"}}}, order_by: {title: desc}')).toEqual([
      'Persuasion',
      'Emma',
    ])
    expect(await titles('order_by: [{author: {name: desc_nulls_last}}, {title: asc}]')).toEqual([
      'Dune',
      'Emma',
      'Persuasion',
      'Beowulf',
    ])
    const data = await ask(`{
      author(order_by: {books_aggregate: {count: desc}}) {
        name
        books(order_by: {pageCount: asc}, limit: 1) { title author { name } loans { copy } }
        books_aggregate(where: {pageCount: {_gt: 200}}) { aggregate { count max { pageCount } } nodes { title } }
      }
    }`)
    expect(data.author).toEqual([
      {
        name: 'Austen',
        books: [{ title: 'Persuasion', author: { name: 'Austen' }, loans: [] }],
        books_aggregate: {
          aggregate: { count: 2, max: { pageCount: 474 } },
          nodes: [{ title: 'Emma' }, { title: 'Persuasion' }],
        },
      },
      {
        name: 'Herbert',
        books: [{ title: 'Dune', author: { name: 'Herbert' }, loans: [] }],
        books_aggregate: { aggregate: { count: 1, max: { pageCount: 604 } }, nodes: [{ title: 'Dune' }] },
      },
    ])
  })

  it('orders, pages and takes one of each', async () => {
    expect(await titles('order_by: {pageCount: desc}, limit: 2, offset: 1')).toEqual(['Emma', 'Persuasion'])
    expect(
      await titles('distinct_on: author_id, order_by: [{author_id: asc_nulls_first}, {pageCount: desc}]'),
    ).toEqual(['Beowulf', 'Emma', 'Dune'])
  })

  it('answers by key, and null for none', async () => {
    expect(await ask('{ book(isbn: "3") { title } none: book(isbn: "9") { title } }')).toEqual({
      book: { title: 'Dune' },
      none: null,
    })
  })

  it('counts nothing as nothing', async () => {
    const data = await ask(`{
      none: book_aggregate(where: {isbn: {_eq: "9"}}) { aggregate { count sum { pageCount } } nodes { title } }
      all: book_aggregate { aggregate { count authors: count(columns: author_id, distinct: true) } }
    }`)
    expect(data).toEqual({
      none: { aggregate: { count: 0, sum: { pageCount: null } }, nodes: [] },
      all: { aggregate: { count: 4, authors: 2 } },
    })
  })

  it('reads views, functions and what they return', async () => {
    const data = await ask(
      `query ($search: String!) {
      ProlificAuthor(order_by: {books: desc}, limit: 1) { books author { name } }
      search_books(args: {search: $search, most_pages: 500}, order_by: {title: asc}) { title author { name } }
      search_books_aggregate(args: {search: ""}) { aggregate { count } }
      firstAuthor { name }
    }`,
      { search: 'e' },
    )
    expect(data).toEqual({
      ProlificAuthor: [{ books: 2, author: { name: 'Austen' } }],
      search_books: [
        { title: 'Beowulf', author: null },
        { title: 'Emma', author: { name: 'Austen' } },
        { title: 'Persuasion', author: { name: 'Austen' } },
      ],
      search_books_aggregate: { aggregate: { count: 4 } },
      firstAuthor: { name: 'Austen' },
    })
  })

  it('spreads fragments, skips and includes, names types, keeps the order of asking', async () => {
    const text = await library.askText(
      JSON.stringify({
        query: `query ($yes: Boolean!) {
          z: __typename
          books(limit: 1, order_by: {isbn: asc}) {
            ...Long @include(if: $yes)
            ... on book { title @skip(if: $yes) author { id } author { name } }
            __typename
          }
          a: author_by_pk(id: 1) { details(path: "$.awards[0]") }
        }
        fragment Long on book { pageCount isbn }`,
        variables: { yes: true },
      }),
    )
    expect(text).toBe(
      '{"data":{"z":"query_root","books":[{"pageCount":474,"isbn":"1","author":{"id":1,"name":"Austen"},"__typename":"book"}],"a":{"details":"none"}}}',
    )
  })

  it('picks the operation that is named, and answers a batch in order', async () => {
    const query = 'query A { author_by_pk(id: 1) { name } } query B { author_by_pk(id: 2) { name } }'
    const one = await library.askText(JSON.stringify({ query, operationName: 'B' }))
    expect(JSON.parse(one)).toEqual({ data: { author_by_pk: { name: 'Herbert' } } })
    const both = await library.askText(
      JSON.stringify([{ query, operationName: 'A' }, { query: '{ nothing }' }]),
    )
    expect(JSON.parse(both)).toMatchObject([
      { data: { author_by_pk: { name: 'Austen' } } },
      { errors: [{ extensions: { code: 'validation-failed' } }] },
    ])
  })

  it('answers introspection from the schema', async () => {
    const data = await ask(
      '{ __type(name: "author") { name description fields { name } } books(limit: 1) { isbn } }',
    )
    expect(data.__type).toEqual({
      name: 'author',
      description: 'Who writes.',
      fields: ['id', 'name', 'mood', 'born', 'details', 'books', 'books_aggregate'].map((name) => ({ name })),
    })
    expect(data.books).toHaveLength(1)
  })

  it('answers with a key longer than PostgreSQL can name', async () => {
    const key = 'k'.repeat(80)
    expect(await ask(`{ books(where: {isbn: {_eq: "1"}}) { ${key}: title } }`)).toEqual({
      books: [{ [key]: 'Emma' }],
    })
  })

  it('gives many callers each their own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => ask(`{ book(isbn: "${(index % 4) + 1}") { isbn } }`)),
    )
    expect(answers).toEqual(answers.map((_, index) => ({ book: { isbn: String((index % 4) + 1) } })))
  })
})
