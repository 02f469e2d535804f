import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { fillLibrary } from '../../support/library.ts'

interface Case {
  readonly name: string
  readonly query: string
  readonly variables?: unknown
  readonly code: string
  readonly path: string
  readonly message?: string | RegExp
}

const cases: readonly Case[] = [
  {
    name: 'an unknown field',
    query: '{ author { notPresentCol } }',
    code: 'validation-failed',
    path: '$.selectionSet.author.selectionSet.notPresentCol',
    message: "field 'notPresentCol' not found in type: 'author'",
  },
  {
    name: 'an unknown operator',
    query: '{ author(where: {id: {_unexpected: 1}}) { id } }',
    code: 'validation-failed',
    path: '$.selectionSet.author.args.where.id._unexpected',
    message: "field '_unexpected' not found in type: 'Int_comparison_exp'",
  },
  {
    name: 'an unknown argument',
    query: '{ author(wher: {}) { id } }',
    code: 'validation-failed',
    path: '$.selectionSet.author.args.wher',
    message: "'author' has no argument named 'wher'",
  },
  {
    name: 'a missing argument',
    query: 'mutation { insert_author { affected_rows } }',
    code: 'validation-failed',
    path: '$.selectionSet.insert_author.args.objects',
    message: "missing required field 'objects'",
  },
  { name: 'no selection', query: '{ author }', code: 'validation-failed', path: '$.selectionSet.author' },
  { name: 'no query at all', query: '{', code: 'validation-failed', path: '$.query' },
  {
    name: 'an explicit null to compare with',
    query: 'query ($id: Int) { author(where: {id: {_eq: $id}}) { id } }',
    variables: { id: null },
    code: 'validation-failed',
    path: '$.selectionSet.author.args.where.id._eq',
    message: "unexpected null value for type 'Int'",
  },
  {
    name: 'a variable of another type',
    query: 'query ($id: String!) { author(where: {id: {_eq: $id}}) { id } }',
    variables: { id: '1' },
    code: 'validation-failed',
    path: '$.selectionSet.author.args.where.id._eq',
    message: "variable 'id' is declared as 'String!', but used where 'Int' is expected",
  },
  {
    name: 'a variable without a value',
    query: 'query ($id: Int!) { author_by_pk(id: $id) { id } }',
    code: 'validation-failed',
    path: '$',
    message: "expecting a value for non-nullable variable: 'id'",
  },
  {
    name: 'a variable with an unknown field',
    query: 'mutation ($o: author_insert_input!) { insert_author_one(object: $o) { id } }',
    variables: { o: { id: 1, nmae: 'x' } },
    code: 'validation-failed',
    path: '$.selectionSet.insert_author_one.args.object.nmae',
    message: /field 'nmae' not found in type: 'author_insert_input'/,
  },
  {
    name: 'no update operator',
    query: 'mutation { update_author(where: {}) { affected_rows } }',
    code: 'validation-failed',
    path: '$.selectionSet.update_author.args',
    message: /at least any one of/,
  },
  {
    name: 'a column in two operators',
    query: 'mutation { update_author(where: {}, _set: {id: 1}, _inc: {id: 1}) { affected_rows } }',
    code: 'validation-failed',
    path: '$.selectionSet.update_author.args',
  },
  {
    name: 'a negative limit',
    query: '{ author(limit: -1) { id } }',
    code: 'validation-failed',
    path: '$.selectionSet.author.args.limit',
  },
  {
    name: 'an argument of a function left out',
    query: '{ search_books(args: {most_pages: 1}) { isbn } }',
    code: 'not-supported',
    path: '$.selectionSet.search_books.args.args',
  },
  {
    name: 'a value that is there already',
    query: 'mutation { insert_author(objects: [{id: 9, name: "Austen"}]) { affected_rows } }',
    code: 'constraint-violation',
    path: '$.selectionSet.insert_author.args.objects',
    message: 'Uniqueness violation. duplicate key value violates unique constraint "author_name_key"',
  },
  {
    name: 'a null that may not be',
    query: 'mutation { insert_author_one(object: {id: 9}) { id } }',
    code: 'constraint-violation',
    path: '$.selectionSet.insert_author_one.args.object',
    message: /^Not-NULL violation\. null value in column "name"/,
  },
  {
    name: 'a row that others refer to',
    query: 'mutation { delete_author(where: {id: {_eq: 1}}) { affected_rows } }',
    code: 'constraint-violation',
    path: '$',
    // PostgreSQL 18 has a code of its own for RESTRICT.
    message:
      /^(Foreign key violation|Can not delete or update due to data being referred)\. update or delete on table "author"/,
  },
  {
    name: 'a check that fails',
    query: 'mutation { update_book(where: {}, _set: {pageCount: 0}) { affected_rows } }',
    code: 'permission-error',
    path: '$',
    message:
      /^Check constraint violation\. new row for relation "book" violates check constraint "book_pages_check"/,
  },
  {
    name: 'a number out of bounds',
    query: 'mutation { insert_sample_one(object: {small: 40000}) { id } }',
    code: 'data-exception',
    path: '$.selectionSet.insert_sample_one.args.object',
    message: 'value "40000" is out of range for type smallint',
  },
  {
    name: 'a text that is no date',
    query: '{ author(where: {born: {_eq: "no day"}}) { id } }',
    code: 'data-exception',
    path: '$',
  },
  {
    name: 'a subscription over HTTP',
    query: 'subscription { author { id } }',
    code: 'unexpected',
    path: '$',
    message: 'subscriptions are not supported over HTTP, use websockets instead',
  },
  {
    name: 'operations without a choice',
    query: 'query A { author { id } } query B { author { id } }',
    code: 'validation-failed',
    path: '$',
  },
]

describe.each(databaseKinds)('errors on %s', (kind) => {
  let library: AnEndpoint
  beforeAll(async () => {
    library = await anEndpoint(kind)
    await fillLibrary(library)
  })
  afterAll(async () => library.close())

  it.each(cases)('tells of $name', async ({ query, variables, code, path, message }) => {
    const answer = await library.ask(query, variables)
    expect(answer).toEqual({
      errors: [{ message: expect.any(String) as string, extensions: { code, path } }],
    })
    if (message instanceof RegExp) expect(answer.errors?.[0]?.message).toMatch(message)
    else if (message !== undefined) expect(answer.errors?.[0]?.message).toBe(message)
  })

  it('refuses a caller without the secret, or with a wrong one', async () => {
    const refusal = async (headers: Record<string, string>) =>
      (await library.ask('{ author { id } }', {}, headers)).errors
    expect(await refusal({})).toEqual([
      {
        message: 'x-hasura-admin-secret/x-hasura-access-key required, but not found',
        extensions: { code: 'access-denied', path: '$' },
      },
    ])
    expect(await refusal({ 'x-hasura-admin-secret': 'guess' })).toEqual([
      {
        message: 'invalid x-hasura-admin-secret/x-hasura-access-key',
        extensions: { code: 'access-denied', path: '$' },
      },
    ])
    expect(await refusal({ 'x-hasura-access-key': adminSecret })).toBeUndefined()
  })

  it('shows a role without permissions nothing', async () => {
    const headers = { 'x-hasura-admin-secret': adminSecret, 'x-hasura-role': 'reader' }
    const { errors } = await library.ask('{ author { id } }', {}, headers)
    expect(errors).toEqual([
      {
        message: "field 'author' not found in type: 'query_root'",
        extensions: { code: 'validation-failed', path: '$.selectionSet.author' },
      },
    ])
  })

  it('says what is wrong with a request that is none', async () => {
    const code = async (body: string) =>
      (JSON.parse(await library.askText(body)) as Answer).errors?.[0]?.extensions.code
    expect(await code('')).toBe('invalid-json')
    expect(await code('{"query":')).toBe('invalid-json')
    expect(await code('"query"')).toBe('parse-failed')
    expect(await code('{"query": 7}')).toBe('parse-failed')
    expect(await code('{"query": "{author{id}}", "variables": []}')).toBe('parse-failed')
    expect(await code(JSON.stringify({ query: `{ author(where: ${'{_not:'.repeat(20_000)}` }))).toBe(
      'validation-failed',
    )
  })

  it('refuses a body beyond 4 MiB without reading on, and goes on serving', async () => {
    const response = await fetch(library.endpoint.url, {
      method: 'POST',
      headers: { 'x-hasura-admin-secret': adminSecret },
      body: JSON.stringify({ query: ' '.repeat(5 * 1024 * 1024) }),
    })
    expect(response.status).toBe(413)
    expect((await library.ask('{ author { id } }')).data?.author).toHaveLength(2)
  })

  it("has Hasura's neighbours of the GraphQL path", async () => {
    const get = async (path: string) => {
      const response = await fetch(new URL(path, library.endpoint.url))
      return [response.status, await response.text()]
    }
    expect(await get('/healthz')).toEqual([200, 'OK'])
    expect(await get('/v1/version')).toEqual([200, expect.stringContaining('"version":"v2')])
    expect(await get('/v1/nothing')).toEqual([404, expect.stringContaining('"code":"not-found"')])
  })
})
