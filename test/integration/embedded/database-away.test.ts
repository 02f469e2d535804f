import { afterAll, beforeAll, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { fillLibrary } from '../../support/library.ts'
import type { Postgres } from '../../support/postgres.ts'
import { startPostgres } from '../../support/postgres.ts'

describeOnPostgres('an endpoint whose server stops and starts again', () => {
  let postgres: Postgres
  let library: AnEndpoint
  beforeAll(async () => {
    postgres = await startPostgres()
    library = await anEndpoint('postgres', { database: { kind: 'postgres', url: postgres.url, poolSize: 4 } })
    await fillLibrary(library)
  })
  afterAll(async () => {
    await library.close()
    await postgres.close()
  })

  it('says so to everybody while it lasts, and goes on by itself', async () => {
    const live = library.follow('subscription { author_by_pk(id: 1) { name } }')
    const stream = library.follow(
      'subscription { book_stream(batch_size: 9, cursor: {initial_value: {isbn: "3"}}) { isbn } }',
    )
    await eventually(() => live.answers.length === 1 && stream.answers.length === 1)
    const running = library.ask('mutation { insert_author_one(object: {id: 5, name: "Eco"}) { id } }')
    await running
    await postgres.stop('immediate')

    const { errors } = await library.ask('{ author { id } }')
    expect(errors).toEqual([
      { message: 'connection error', extensions: { code: 'postgres-error', path: '$' } },
    ])
    const failures = () => live.answers.filter((answer) => answer.errors !== undefined)
    // At each look, as an engine that polls does.
    await eventually(() => failures().length >= 2)
    expect(failures()[0]?.errors?.[0]?.extensions.code).toBe('postgres-error')
    await eventually(() => stream.answers.some((answer) => answer.errors !== undefined))

    await postgres.start()
    // At once on a machine with nothing else to do; a back-off that grew meanwhile takes far longer.
    const soon = { timeoutMs: 10_000 }
    await eventually(
      async () => (await library.ask('{ author(where: {id: {_eq: 5}}) { id } }')).data !== undefined,
      soon,
    )
    await library.ask('mutation { update_author_by_pk(pk_columns: {id: 1}, _set: {name: "Jane"}) { id } }')
    await library.ask(
      'mutation { insert_book_one(object: {isbn: "9", title: "Nine", pageCount: 9}) { isbn } }',
    )
    await eventually(() => {
      expect(live.answers.at(-1)).toEqual({ data: { author_by_pk: { name: 'Jane' } } })
      expect(stream.answers.at(-1)).toEqual({ data: { book_stream: [{ isbn: '9' }] } })
      return true
    }, soon)
    expect((await library.ask('{ author(where: {id: {_eq: 5}}) { id } }')).data).toEqual({
      author: [{ id: 5 }],
    })
  })
})
