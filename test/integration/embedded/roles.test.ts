/** What roles may not see or do, by every way there is to a row, on each kind of database. */
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import type { Headers } from '../../support/office.ts'
import { as, bob, cat, guest, officeProject } from '../../support/office.ts'

describe.each(databaseKinds)('roles on %s', (kind) => {
  let office: AnEndpoint
  beforeAll(async () => {
    office = await anEndpoint(kind, { projectDir: officeProject })
  })
  afterAll(async () => office.close())

  const ask = async (headers: Headers, query: string): Promise<Answer> =>
    await office.ask(query, undefined, headers)

  describe('a row that is hidden', () => {
    it.each<[string, Headers, string, unknown]>([
      ['is in no list', bob, '{note(order_by:{id:asc}){id}}', { note: [{ id: 2 }, { id: 3 }, { id: 4 }] }],
      ['has no key', bob, '{a:note_by_pk(id:1){id} b:note_by_pk(id:3){id}}', { a: null, b: { id: 3 } }],
      [
        'does not count',
        bob,
        '{note_aggregate{aggregate{count min{title}}nodes{id}}}',
        {
          note_aggregate: {
            aggregate: { count: 3, min: { title: 'a2' } },
            nodes: [{ id: 2 }, { id: 3 }, { id: 4 }],
          },
        },
      ],
      [
        'is not related',
        bob,
        '{employee(order_by:{id:asc}){notes(order_by:{id:asc}){id}}}',
        { employee: [{ notes: [{ id: 2 }] }, { notes: [{ id: 3 }, { id: 4 }] }] },
      ],
      [
        'does not count among the related',
        bob,
        '{employee(order_by:{id:asc}){notes_aggregate{aggregate{count}}}}',
        {
          employee: [
            { notes_aggregate: { aggregate: { count: 1 } } },
            { notes_aggregate: { aggregate: { count: 2 } } },
          ],
        },
      ],
      [
        'is nobody related, though the key says so',
        cat,
        '{employee{id manager{id}}}',
        { employee: [{ id: 3, manager: null }] },
      ],
      [
        'is not found through a relationship',
        bob,
        '{employee(where:{notes:{title:{_eq:"a1"}}}){id}}',
        { employee: [] },
      ],
      [
        'is not missed through a relationship',
        bob,
        '{employee(where:{_not:{notes:{title:{_eq:"a1"}}}},order_by:{id:asc}){id}}',
        { employee: [{ id: 1 }, { id: 2 }] },
      ],
      [
        'is not ordered by',
        bob,
        '{employee(order_by:{notes_aggregate:{count:desc}}){id}}',
        { employee: [{ id: 2 }, { id: 1 }] },
      ],
      [
        'is ordered as if it were missing',
        cat,
        '{employee(order_by:{manager:{fullName:asc_nulls_first}}){id}}',
        { employee: [{ id: 3 }] },
      ],
      [
        'is not what a function returns',
        bob,
        '{notes_about(args:{word:""},order_by:{id:asc}){id} notes_about_aggregate(args:{word:"1"}){aggregate{count}}}',
        {
          notes_about: [{ id: 2 }, { id: 3 }, { id: 4 }],
          notes_about_aggregate: { aggregate: { count: 0 } },
        },
      ],
      [
        'is beyond the limit, but counts',
        guest,
        '{note(order_by:{id:asc},limit:9){id} note_aggregate(order_by:{id:asc}){aggregate{count}nodes{id}}}',
        {
          note: [{ id: 2 }, { id: 4 }],
          note_aggregate: { aggregate: { count: 3 }, nodes: [{ id: 2 }, { id: 4 }] },
        },
      ],
      [
        'is not reached by a smaller limit',
        guest,
        '{note(order_by:{id:desc},limit:1){id}}',
        { note: [{ id: 5 }] },
      ],
      [
        'depends on another table',
        guest,
        '{employee(order_by:{id:asc}){id}}',
        { employee: [{ id: 1 }, { id: 2 }, { id: 3 }] },
      ],
      [
        'depends on it alone',
        as('guest', { 'x-hasura-password': 'guess' }),
        '{employee{id}}',
        { employee: [] },
      ],
      [
        'is not had by a clever variable',
        as('worker', { 'x-hasura-user-id': '2', 'x-hasura-team': "x' or '1'='1" }),
        '{note(order_by:{id:asc}){id}employee{id}}',
        { note: [{ id: 3 }, { id: 4 }], employee: [] },
      ],
    ])('%s', async (_what, headers, query, data) => {
      expect(await ask(headers, query)).toEqual({ data })
    })

    it('is neither in a live query nor in a stream', async () => {
      const client = createClient({
        url: office.endpoint.url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        connectionParams: { headers: bob },
        retryAttempts: 0,
      })
      const heard: unknown[] = []
      for (const query of [
        'subscription{note(order_by:{id:asc}){id}}',
        'subscription{note_stream(batch_size:9,cursor:{initial_value:{id:0}}){id}}',
      ]) {
        const sink = { next: ({ data }: { data?: unknown }) => heard.push(data), error: () => undefined }
        client.subscribe({ query }, { ...sink, complete: () => undefined })
      }
      const seen = [{ id: 2 }, { id: 3 }, { id: 4 }]
      await eventually(() => heard.length === 2)
      expect(heard).toContainEqual({ note: seen })
      expect(heard).toContainEqual({ note_stream: seen })
      await client.dispose()
    })
  })

  it.each([
    ['{note{body}}', "field 'body' not found in type: 'note'", '$.selectionSet.note.selectionSet.body'],
    [
      '{note(where:{body:{_eq:"x"}}){id}}',
      "field 'body' not found in type: 'note_bool_exp'",
      '$.selectionSet.note.args.where.body',
    ],
    [
      '{note(order_by:{body:asc}){id}}',
      "field 'body' not found in type: 'note_order_by'",
      '$.selectionSet.note.args.order_by.body',
    ],
    [
      '{note_aggregate{aggregate{max{body}}}}',
      "field 'body' not found in type: 'note_max_fields'",
      '$.selectionSet.note_aggregate.selectionSet.aggregate.selectionSet.max.selectionSet.body',
    ],
    [
      '{employee(where:{manager:{salary:{_gt:1}}}){id}}',
      "field 'salary' not found in type: 'employee_bool_exp'",
      '$.selectionSet.employee.args.where.manager.salary',
    ],
    ['{audit{id}}', "field 'audit' not found in type: 'query_root'", '$.selectionSet.audit'],
    [
      '{employee_aggregate{aggregate{count}}}',
      "field 'employee_aggregate' not found in type: 'query_root'",
      '$.selectionSet.employee_aggregate',
    ],
    ['mutation{purge{id}}', "field 'purge' not found in type: 'mutation_root'", '$.selectionSet.purge'],
    [
      'mutation{update_note(where:{},_set:{edited_by:1}){affected_rows}}',
      "field 'edited_by' not found in type: 'note_set_input'",
      '$.selectionSet.update_note.args._set.edited_by',
    ],
  ])('what is hidden has no name: %s', async (query, message, path) => {
    expect(await ask(bob, query)).toEqual({
      errors: [{ message, extensions: { code: 'validation-failed', path } }],
    })
  })

  it('counts in filters only what may be seen', async () => {
    const by = (predicate: string) =>
      `{employee(where:{notes_aggregate:{${predicate}}},order_by:{id:asc}){id}}`
    // Of ann's notes bob sees the public one.
    expect(await ask(bob, by('count:{predicate:{_eq:1}}'))).toEqual({ data: { employee: [{ id: 1 }] } })
    expect(await ask(bob, by('bool_and:{arguments:is_public,predicate:{_eq:true}}'))).toEqual({
      data: { employee: [{ id: 1 }] },
    })
    expect(await ask(bob, by('bool_or:{arguments:is_public,predicate:{_eq:true}}'))).toEqual({
      data: { employee: [{ id: 1 }, { id: 2 }] },
    })
    // Of each employee's notes the guest sees one.
    expect(await ask(guest, by('count:{predicate:{_eq:1}}'))).toEqual({
      data: { employee: [{ id: 1 }, { id: 2 }, { id: 3 }] },
    })
  })

  it('says which variable is missing', async () => {
    expect(await ask(as('worker', { 'x-hasura-user-id': '2' }), '{note{id}}')).toEqual({
      errors: [
        {
          message: 'missing session variable: "x-hasura-team"',
          extensions: { code: 'not-found', path: '$' },
        },
      ],
    })
  })

  describe('a write', () => {
    const validationFailed = { code: 'validation-failed' }
    const permissionError = (path: string) => ({
      errors: [
        {
          message: 'check constraint of an insert/update permission has failed',
          extensions: { code: 'permission-error', path },
        },
      ],
    })
    const allNotes = async () => {
      const { data } = await office.ask('{note(order_by:{id:asc}){id title is_public edited_by origin}}')
      return data?.['note'] as unknown
    }

    it.each([
      ['of another team', bob, '{id:10,author_id:3,title:"x"}', '$.selectionSet.insert_note.args.objects'],
      ['of nobody', bob, '{id:10,author_id:99,title:"x"}', '$.selectionSet.insert_note.args.objects'],
      [
        'that is good and one that is not',
        bob,
        '[{id:10,author_id:2,title:"x"},{id:11,author_id:3,title:"y"}]',
        '$.selectionSet.insert_note.args.objects',
      ],
    ])('does not insert a row %s', async (_what, headers, objects, path) => {
      const before = await allNotes()
      const answer = await ask(headers, `mutation{insert_note(objects:${objects}){affected_rows}}`)
      expect(answer).toEqual(permissionError(path))
      expect(await allNotes()).toEqual(before)
    })

    it('changes what it may, sets what it must, and gives its own rows back whoever may read them', async () => {
      const before = await allNotes()
      const own = '{id:20,author_id:2,title:"own"}'
      const anns = '{id:21,author_id:1,title:"hers"}'
      expect(
        await ask(bob, `mutation{insert_note(objects:[${own},${anns}]){affected_rows returning{id}}}`),
      ).toEqual({ data: { insert_note: { affected_rows: 2, returning: [{ id: 20 }, { id: 21 }] } } })
      expect(await office.ask('{note(where:{id:{_gte:20}},order_by:{id:asc}){edited_by origin}}')).toEqual({
        data: {
          note: [
            { edited_by: 2, origin: 'worker' },
            { edited_by: 2, origin: 'worker' },
          ],
        },
      })
      expect(
        await ask(
          bob,
          'mutation{a:update_note(where:{id:{_gte:20}},_set:{is_public:true}){affected_rows returning{id author{fullName}}} b:update_note_by_pk(pk_columns:{id:21},_set:{title:"mine"}){id} c:update_note_many(updates:[{where:{},_set:{is_public:false}}]){affected_rows} d:delete_note_by_pk(id:21){id} e:delete_note(where:{id:{_gte:20}}){returning{title}}}',
        ),
      ).toEqual({
        data: {
          a: { affected_rows: 1, returning: [{ id: 20, author: { fullName: 'bob' } }] },
          b: null,
          c: [{ affected_rows: 3 }],
          d: null,
          e: { returning: [{ title: 'own' }] },
        },
      })
      await office.ask(
        'mutation{a:delete_note(where:{id:{_eq:21}}){affected_rows} b:update_note(where:{id:{_eq:4}},_set:{is_public:true}){affected_rows} c:update_note(where:{},_set:{edited_by:null}){affected_rows}}',
      )
      expect(await allNotes()).toEqual(before)
    })

    it('gives its own rows back in the columns, and with the rows beside them, that may be read', async () => {
      const before = await allNotes()
      const insert = (asked: string) =>
        `mutation{insert_note_one(object:{id:21,author_id:1,title:"hers"}){${asked}}}`
      expect(await ask(bob, insert('id body'))).toMatchObject({ errors: [{ extensions: validationFailed }] })
      expect(await ask(bob, insert('id author{fullName notes(order_by:{id:asc}){id}}'))).toEqual({
        // Neither a1 nor the new row, which bob may not read.
        data: { insert_note_one: { id: 21, author: { fullName: 'ann', notes: [{ id: 2 }] } } },
      })
      await office.ask('mutation{delete_note_by_pk(id:21){id}}')
      expect(await allNotes()).toEqual(before)
    })

    it('does not update to what the check forbids', async () => {
      const before = await allNotes()
      expect(
        await ask(bob, 'mutation{update_note_by_pk(pk_columns:{id:3},_set:{title:"forbidden"}){id}}'),
      ).toEqual(permissionError('$'))
      expect(await allNotes()).toEqual(before)
    })

    it('updates on conflict only what may be updated, to what may be', async () => {
      const upsert = (id: number, title: string) =>
        `mutation{insert_note(objects:{id:${id},author_id:2,title:"${title}"},on_conflict:{constraint:note_pkey,update_columns:title}){affected_rows returning{id title}}}`
      const before = await allNotes()
      expect(await ask(bob, upsert(1, 'taken'))).toEqual({
        data: { insert_note: { affected_rows: 0, returning: [] } },
      })
      expect(await ask(bob, upsert(3, 'forbidden'))).toEqual(
        permissionError('$.selectionSet.insert_note.args.objects'),
      )
      expect(await allNotes()).toEqual(before)
      expect(await ask(bob, upsert(3, 'new'))).toEqual({
        data: { insert_note: { affected_rows: 1, returning: [{ id: 3, title: 'new' }] } },
      })
      expect(await ask(bob, upsert(3, 'b3'))).toMatchObject({ data: { insert_note: { affected_rows: 1 } } })
      await office.ask('mutation{update_note(where:{},_set:{edited_by:null}){affected_rows}}')
    })

    it('by a function gives back what may be seen', async () => {
      expect(
        await ask(bob, 'mutation{a:publish(args:{note_id:6}){id} b:publish(args:{note_id:4}){id}}'),
      ).toEqual({ data: { a: [], b: [{ id: 4 }] } })
      await office.ask('mutation{update_note(where:{id:{_eq:6}},_set:{is_public:false}){affected_rows}}')
    })
  })
})
