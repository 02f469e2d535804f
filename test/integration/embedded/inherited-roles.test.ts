/** Roles made of others, and what is computed: that each shows what its parts may see, and nothing else. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import type { Headers } from '../../support/office.ts'
import { as, bob, officeProject } from '../../support/office.ts'

const of = (role: string, variables: Headers = {}): Headers =>
  as(role, {
    'x-hasura-user-id': '2',
    'x-hasura-team': 'red',
    'x-hasura-most-salary': '10',
    'x-hasura-least-wages': '200',
    ...variables,
  })
const lead = of('lead')
const blueLead = of('lead', { 'x-hasura-team': 'blue', 'x-hasura-most-salary': '20' })
const head = of('head')
const deputy = of('deputy')

describe.each(databaseKinds)('inherited roles on %s', (kind) => {
  let office: AnEndpoint
  beforeAll(async () => {
    office = await anEndpoint(kind, { projectDir: officeProject })
  })
  afterAll(async () => office.close())
  const ask = async (headers: Headers, query: string): Promise<Answer> =>
    await office.ask(query, undefined, headers)

  // Of the engine's tests-py/queries/graphql_query/permissions/inherited_roles/basic_inherited_roles.yaml in the main.
  it.each<[string, Headers, string, unknown]>([
    [
      'rows of all, each column in the rows of those that have it',
      blueLead,
      '{employee(order_by:{id:asc}){id fullName salary wages}}',
      {
        employee: [
          { id: 2, fullName: null, salary: 20, wages: 240 },
          { id: 3, fullName: 'cat', salary: 10, wages: 120 },
        ],
      },
    ],
    [
      'no more rows than the one limit there is',
      lead,
      '{employee(order_by:{id:desc}){id salary}}',
      {
        employee: [
          { id: 3, salary: 10 },
          { id: 2, salary: null },
        ],
      },
    ],
    [
      'a relationship, though its column is hidden',
      lead,
      '{employee(where:{id:{_eq:2}}){manager_id manager{id salary}}}',
      { employee: [{ manager_id: null, manager: { id: 1, salary: null } }] },
    ],
    [
      'aggregates where one allows them, of what is seen',
      lead,
      '{employee_aggregate{aggregate{count seen:count(columns:[salary]) sum{salary wages} max{salary fullName}}}}',
      {
        employee_aggregate: {
          aggregate: {
            count: 3,
            seen: 1,
            sum: { salary: 10, wages: 120 },
            max: { salary: 10, fullName: 'bob' },
          },
        },
      },
    ],
    [
      'no row by a value that is hidden',
      lead,
      '{a:employee(where:{salary:{_gt:10}}){id} b:employee(where:{wages:{_gt:120}}){id} c:employee(where:{_not:{salary:{_lte:10}}}){id} d:employee(where:{fullName:{_eq:"cat"}}){id} e:employee(where:{salary:{_is_null:true}},order_by:{id:asc}){id}}',
      { a: [], b: [], c: [], d: [], e: [{ id: 1 }, { id: 2 }] },
    ],
    [
      'no order by a value that is hidden',
      lead,
      '{a:employee(order_by:[{salary:desc},{id:asc}]){id} b:employee(order_by:[{wages:desc_nulls_last},{id:asc}]){id} c:employee(distinct_on:[salary],order_by:[{salary:desc_nulls_last},{id:asc}]){id salary}}',
      {
        a: [{ id: 1 }, { id: 2 }],
        b: [{ id: 3 }, { id: 1 }],
        c: [
          { id: 3, salary: 10 },
          { id: 1, salary: null },
        ],
      },
    ],
    [
      'nothing of a hidden value through a relationship',
      lead,
      '{a:employee(where:{manager:{salary:{_gt:1}}}){id} b:employee(order_by:[{manager:{salary:desc_nulls_last}},{id:asc}]){id}}',
      { a: [], b: [{ id: 1 }, { id: 2 }] },
    ],
    [
      'what is hidden from a part that is made of others itself',
      head,
      '{employee(order_by:{id:desc}){id fullName salary} note(order_by:{id:asc}){id title body}}',
      {
        employee: [
          { id: 3, fullName: null, salary: 10 },
          { id: 2, fullName: 'bob', salary: null },
        ],
        note: [
          { id: 2, title: 'a2', body: '' },
          { id: 3, title: 'b3', body: null },
          { id: 4, title: 'b4', body: '' },
          { id: 5, title: null, body: '' },
        ],
      },
    ],
    [
      'rows that are computed, as the role sees their table',
      bob,
      '{employee(order_by:{id:asc}){title_notes(order_by:{id:asc}){id}} a:employee(where:{title_notes:{title:{_eq:"a1"}}}){id}}',
      { employee: [{ title_notes: [{ id: 2 }] }, { title_notes: [{ id: 3 }, { id: 4 }] }], a: [] },
    ],
    [
      'rows by what is computed of them',
      of('well_paid'),
      '{employee(order_by:{id:asc}){id}}',
      { employee: [{ id: 1 }, { id: 2 }] },
    ],
    ['rows by rows that are computed of them', of('published'), '{employee{id}}', { employee: [{ id: 2 }] }],
  ])('show %s', async (_what, headers, query, data) => {
    expect(await ask(headers, query)).toEqual({ data })
  })

  it.each<[string, Headers, string, string]>([
    ['a column that no part has', of('lead'), '{note{body}}', '$.selectionSet.note.selectionSet.body'],
    [
      'a computed field that was not granted',
      bob,
      '{employee{wages}}',
      '$.selectionSet.employee.selectionSet.wages',
    ],
    [
      'rows computed of a table that is hidden',
      of('auditor'),
      '{employee{title_notes{id}}}',
      '$.selectionSet.employee.selectionSet.title_notes',
    ],
    [
      'a computed field in a filter that was not granted',
      bob,
      '{employee(where:{wages:{_gt:1}}){id}}',
      '$.selectionSet.employee.args.where.wages',
    ],
    [
      'an update that two grant differently',
      deputy,
      'mutation{update_note(where:{},_set:{title:"x"}){affected_rows}}',
      '$.selectionSet.update_note',
    ],
    [
      'a delete that two grant differently, one of them through a third',
      head,
      'mutation{delete_note(where:{}){affected_rows}}',
      '$.selectionSet.delete_note',
    ],
    ['a function that none was granted', head, 'mutation{purge{id}}', '$.selectionSet.purge'],
  ])('know nothing of %s', async (_what, headers, query, path) => {
    expect(await ask(headers, query)).toMatchObject({
      errors: [{ extensions: { code: 'validation-failed', path } }],
    })
  })

  it('write what one part may, or what all may alike', async () => {
    const insert = 'mutation{insert_note_one(object:{id:30,author_id:2,title:"new"}){id title}}'
    expect(await ask(head, insert)).toEqual({ data: { insert_note_one: { id: 30, title: 'new' } } })
    // The filter is the same with its parts in another order.
    expect(await ask(deputy, 'mutation{delete_note(where:{id:{_in:[30,4,6]}}){affected_rows}}')).toEqual({
      data: { delete_note: { affected_rows: 1 } },
    })
    expect(await ask(head, 'mutation{publish(args:{note_id:4}){id}}')).toEqual({
      data: { publish: [{ id: 4 }] },
    })
  })

  it('give written rows back without what is hidden in them', async () => {
    const insert = 'mutation{insert_note_one(object:{id:31,author_id:2,title:"mine"}){id title body}}'
    expect(await ask(head, insert)).toEqual({
      data: { insert_note_one: { id: 31, title: 'mine', body: null } },
    })
    await office.ask('mutation{delete_note_by_pk(id:31){id}}')
  })

  it('say in their schema what may be null', async () => {
    const { data } = await ask(lead, '{__type(name:"employee"){fields{name type{kind}}}}')
    const fields = (data?.['__type'] as { fields: { name: string; type: { kind: string } }[] }).fields
    expect(fields.filter(({ type }) => type.kind === 'NON_NULL').map(({ name }) => name)).toEqual([
      'id',
      'notes',
      'notes_aggregate',
    ])
  })
})

describe('metadata that does not fit', () => {
  let scratch: string
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'muster-roles-'))
  })
  afterAll(async () => rm(scratch, { recursive: true }))

  const tables = 'metadata/databases/default/tables'
  const note = { table: { schema: 'public', name: 'note' } }
  const computed = (definition: object) => [
    { table: { schema: 'public', name: 'employee' }, computed_fields: [{ name: 'field', definition }] },
    note,
  ]
  it.each<[string, string, unknown, string]>([
    [
      'a role that is made of itself',
      'metadata/inherited_roles.yaml',
      [
        { role_name: 'a', role_set: ['b'] },
        { role_name: 'b', role_set: ['worker', 'a'] },
      ],
      'found cycle(s) in roles: ["a","b","a"]',
    ],
    [
      'a role that is made of nobody known',
      'metadata/inherited_roles.yaml',
      [{ role_name: 'a', role_set: ['worker', 'nobody'] }],
      'the following parent role(s) are not found: "nobody" which are required to construct the inherited role: "a"',
    ],
    [
      'a computed field of a function that writes',
      `${tables}/tables.yaml`,
      computed({ function: 'purge' }),
      'the computed field "field" cannot be added to table "employee" because the function "purge" is of type VOLATILE; cannot be added as a computed field; and the function "purge" has no input arguments',
    ],
    [
      'a computed field of a function of something else',
      `${tables}/tables.yaml`,
      computed({ function: 'notes_about' }),
      'first argument of the function "notes_about" is not COMPOSITE type',
    ],
    [
      'a computed field with an argument that is none',
      `${tables}/tables.yaml`,
      computed({ function: 'wages', table_argument: 'x', session_argument: 'y' }),
      '"x" is not an input argument of the function "wages"; and "y" is not an input argument of the function "wages"',
    ],
    [
      'a computed field of rows of a table that is not tracked',
      `${tables}/tables.yaml`,
      computed({ function: 'notes_by' }).slice(0, 1),
      'the function "notes_by" returning set of table "note" is not tracked or not found in database',
    ],
    [
      'an enum of too many columns',
      `${tables}/tables.yaml`,
      [{ ...note, is_enum: true }],
      'the table "public.note" cannot be used as an enum because the table’s primary key ("id") must have type "text", not type "integer"; and the table must have exactly one primary key and optionally one comment column, not 6 columns (author_id, body, edited_by, is_public, origin, title)',
    ],
  ])('is refused at start: %s', async (name, path, content, words) => {
    const projectDir = join(scratch, name)
    await cp(officeProject, projectDir, { recursive: true })
    await writeFile(join(projectDir, path), JSON.stringify(content))
    if (path.endsWith('tables.yaml')) {
      await writeFile(join(projectDir, 'metadata/inherited_roles.yaml'), '[]')
      await writeFile(join(projectDir, 'metadata/databases/default/functions/functions.yaml'), '[]')
    }
    const kind = databaseKinds.at(-1) ?? 'pglite'
    await expect(anEndpoint(kind, { projectDir })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(words) as string,
    })
  })
})
