import { isDeepStrictEqual } from 'node:util'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { AnEndpoint, Data } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { emptyLibrary, fillLibrary } from '../../support/library.ts'

describe.each(databaseKinds)('mutations on %s', (kind) => {
  let library: AnEndpoint
  const ask = async (query: string, variables?: unknown): Promise<Data> => {
    const { data, errors } = await library.ask(query, variables)
    expect(errors).toBeUndefined()
    return data!
  }

  beforeAll(async () => {
    library = await anEndpoint(kind)
  })
  beforeEach(async () => {
    await emptyLibrary(library)
    await fillLibrary(library)
  })
  afterAll(async () => library.close())

  it('inserts rows, with defaults for what is left out', async () => {
    const data = await ask(`mutation {
      insert_author(objects: [{id: 3, name: "Eco", mood: sad}, {id: 4, name: "Woolf", details: {a: [1]}}]) {
        affected_rows returning { id mood details }
      }
      insert_sample_one(object: {}) { big }
      none: insert_author(objects: []) { affected_rows returning { id } }
    }`)
    expect(data).toEqual({
      insert_author: {
        affected_rows: 2,
        returning: [
          { id: 3, mood: 'sad', details: {} },
          { id: 4, mood: 'happy', details: { a: [1] } },
        ],
      },
      insert_sample_one: { big: null },
      none: { affected_rows: 0, returning: [] },
    })
  })

  it('settles conflicts: update the columns named where it says so, or do nothing', async () => {
    const upsert = `mutation ($object: author_insert_input!, $columns: [author_update_column!]!, $where: author_bool_exp) {
      insert_author_one(object: $object,
        on_conflict: {constraint: author_pkey, update_columns: $columns, where: $where}) { id name mood }
    }`
    const object = { id: 1, name: 'Jane Austen', mood: 'sad' }
    const updated = await ask(upsert, { object, columns: ['name'] })
    expect(updated.insert_author_one).toEqual({ id: 1, name: 'Jane Austen', mood: 'happy' })
    const refused = await ask(upsert, { object, columns: ['mood'], where: { name: { _eq: 'Somebody' } } })
    expect(refused.insert_author_one).toBeNull()
    const ignored = await ask(`mutation { insert_author(objects: [{id: 1, name: "X"}],
      on_conflict: {constraint: author_pkey}) { affected_rows returning { id } } }`)
    expect(ignored.insert_author).toEqual({ affected_rows: 0, returning: [] })
  })

  it('updates where the filter holds: setting, counting up, and into jsonb', async () => {
    const data = await ask(`mutation {
      update_book(where: {author: {name: {_eq: "Austen"}}}, _inc: {pageCount: 1}, _set: {price: null}) {
        affected_rows returning { pageCount price author { name } }
      }
      update_author_by_pk(pk_columns: {id: 1}, _append: {details: {more: true}}) { details }
      a: update_author_by_pk(pk_columns: {id: 1}, _delete_key: {details: "n"}) { details }
      b: update_author_by_pk(pk_columns: {id: 1}, _delete_at_path: {details: ["awards", "0"]}) { details }
      none: update_author_by_pk(pk_columns: {id: 9}, _set: {name: "nobody"}) { id }
      empty: update_author(where: {}, _set: {}) { affected_rows }
    }`)
    expect(data).toMatchObject({
      update_book: { affected_rows: 2 },
      update_author_by_pk: { details: { more: true, awards: ['none'] } },
      a: { details: { awards: ['none'], more: true } },
      b: { details: { awards: [], more: true } },
      none: null,
      empty: { affected_rows: 0 },
    })
    expect(data.update_book).toMatchObject({
      returning: expect.arrayContaining([
        { pageCount: 475, price: null, author: { name: 'Austen' } },
      ]) as unknown,
    })
  })

  it('updates many, each by its own filter, in order', async () => {
    const data = await ask(`mutation { update_book_many(updates: [
      {where: {isbn: {_eq: "1"}}, _set: {title: "Emma!"}}
      {where: {title: {_eq: "Emma!"}}, _inc: {pageCount: 1}}
      {where: {isbn: {_eq: "9"}}, _set: {title: "none"}}
    ]) { affected_rows returning { title pageCount } } }`)
    expect(data.update_book_many).toEqual([
      { affected_rows: 1, returning: [{ title: 'Emma!', pageCount: 474 }] },
      { affected_rows: 1, returning: [{ title: 'Emma!', pageCount: 475 }] },
      { affected_rows: 0, returning: [] },
    ])
  })

  it('deletes by filter and by key', async () => {
    const data = await ask(`mutation {
      delete_book(where: {author_id: {_is_null: true}}) { affected_rows returning { title } }
      delete_book_by_pk(isbn: "3") { title }
      none: delete_book_by_pk(isbn: "3") { title }
    }`)
    expect(data).toEqual({
      delete_book: { affected_rows: 1, returning: [{ title: 'Beowulf' }] },
      delete_book_by_pk: { title: 'Dune' },
      none: null,
    })
  })

  it('calls functions with jsonb, be it an object or a list, and reads what they return', async () => {
    const lend = `mutation ($args: shop_lend_args!) {
      shop_lend(args: $args, where: {copy: {_gt: 1}}, order_by: {copy: desc}) { isbn copy reader times }
    }`
    const copies = [1, 2, 3].map((copy) => ({ isbn: '1', copy }))
    const once = await ask(lend, { args: { copies, to_reader: 'Ada' } })
    expect(once.shop_lend).toEqual([
      { isbn: '1', copy: 3, reader: 'Ada', times: 1 },
      { isbn: '1', copy: 2, reader: 'Ada', times: 1 },
    ])
    await ask(lend, { args: { copies: [copies[0]], to_reader: null } })
    expect(await ask('{ shop_loan_by_pk(isbn: "1", copy: 1) { reader times } }')).toEqual({
      shop_loan_by_pk: { reader: null, times: 2 },
    })
  })

  it('is one transaction: what comes first is undone when what comes later fails', async () => {
    const { errors } = await library.ask(`mutation {
      insert_author_one(object: {id: 7, name: "Seven"}) { id }
      insert_book_one(object: {isbn: "7", title: "None", pageCount: 0}) { isbn }
    }`)
    expect(errors?.[0]?.extensions.code).toBe('permission-error')
    expect((await ask('{ author_by_pk(id: 7) { id } }')).author_by_pk).toBeNull()
    await expect(
      ask('mutation { insert_author_one(object: {id: 7, name: "Seven"}) { id } }'),
    ).resolves.toBeDefined()
  })

  it('lets exactly one of many win a guarded update', async () => {
    await ask('mutation { insert_shop_loan_one(object: {isbn: "1", copy: 9}) { copy } }')
    const claims = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        ask(`mutation { update_shop_loan(where: {copy: {_eq: 9}, reader: {_is_null: true}}, _set: {reader: "r${index}"}) {
          affected_rows } }`),
      ),
    )
    const won = { update_shop_loan: { affected_rows: 1 } }
    expect(claims.filter((claim) => isDeepStrictEqual(claim, won))).toHaveLength(1)
  })
})
