/** Whatever a permission's filter says, in whatever way rows are reached: what it excludes is not seen. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { readCatalog } from '../../../src/embedded/catalog/introspection.ts'
import type { Catalog } from '../../../src/embedded/catalog/catalog.ts'
import type { Database } from '../../../src/embedded/database/database.ts'
import { openPgliteDatabase } from '../../../src/embedded/database/pglite/pglite-database.ts'
import { createPostgresDatabase } from '../../../src/embedded/database/postgres-database.ts'
import type { Project, TrackedTable } from '../../../src/embedded/project/metadata.ts'
import { buildApi } from '../../../src/embedded/schema/build-api.ts'
import { createRoles } from '../../../src/embedded/server/roles.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { aDatabase, databaseKinds } from '../../support/an-endpoint.ts'

interface Row {
  readonly id: number
  readonly number: number | null
  readonly word: string | null
  readonly parent_id: number | null
}
type Expression = Readonly<Record<string, unknown>>
/** As SQL has it: neither true nor false where nothing is known. */
type Truth = boolean | null

const session = {
  role: 'reader',
  isBackend: false,
  variables: { 'x-hasura-number': '2', 'x-hasura-words': '{a,b}' },
}
const words = ['a', 'b', "o'k", '', '%', '\\']
const word = fc.constantFrom(...words)
const number = fc.integer({ min: 0, max: 4 })
const rowsOf = fc
  .array(fc.record({ number: fc.option(number), word: fc.option(word), parent: fc.option(fc.nat(7)) }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((rows) =>
    rows.map(({ parent, ...row }, id): Row => ({
      ...row,
      id,
      parent_id: parent === null ? null : parent % rows.length,
    })),
  )

const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.record({ number: fc.record({ _eq: number }) }),
      fc.record({
        number: fc.constantFrom({ _eq: 'X-Hasura-Number' }, { _gt: 'x-hasura-number' }, 'X-HASURA-NUMBER'),
      }),
      fc.record({ number: fc.record({ _gte: number, _lt: number }, { requiredKeys: [] }) }),
      fc.record({ number: fc.record({ _nin: fc.array(number, { maxLength: 3 }) }) }),
      fc.record({ word: fc.record({ _neq: word }) }),
      fc.record({
        word: fc.record({ _in: fc.oneof(fc.array(word, { maxLength: 3 }), fc.constant('X-Hasura-Words')) }),
      }),
      fc.record({ word: fc.record({ _is_null: fc.boolean() }) }),
      fc.record({ id: fc.record({ _ceq: fc.constantFrom('parent_id', ['$', 'parent_id']) }) }),
      fc.constant({}),
    ),
    fc.record({ _not: tie('expression') }),
    fc.record({ _and: fc.array(tie('expression'), { maxLength: 3 }) }),
    fc.record({ $or: fc.array(tie('expression'), { maxLength: 3 }) }),
    fc.record({ parent: tie('expression') }),
    fc.record({ children: tie('expression') }),
    fc.record({
      _exists: fc.record({
        _table: fc.constant({ schema: 'public', name: 'thing' }),
        _where: tie('expression'),
      }),
    }),
  ),
}))

describe.each(databaseKinds)('a filter on %s', (kind) => {
  let database: Database
  let catalog: Catalog
  let remove: () => Promise<void>
  beforeAll(async () => {
    const made = await aDatabase(kind)
    remove = made.remove
    database =
      made.database.kind === 'postgres'
        ? createPostgresDatabase({ url: made.database.url, logger: silentLogger })
        : await openPgliteDatabase({
            dataDir: made.database.dataDir,
            clock: systemClock,
            logger: silentLogger,
          })
    await database.transaction((transaction) =>
      transaction.script(
        'create table thing (id integer primary key, number integer, word text, parent_id integer references thing (id) deferrable initially deferred)',
      ),
    )
    catalog = await readCatalog(database, { tables: [{ schema: 'public', name: 'thing' }], functions: [] })
  })
  afterAll(async () => {
    await database.close()
    await remove()
  })

  const fill = async (rows: readonly Row[]): Promise<void> =>
    database.transaction(async (transaction) => {
      await transaction.script('truncate thing')
      await transaction.query(
        'insert into thing select * from json_populate_recordset(null::thing, ($1::text)::json)',
        [JSON.stringify(rows)],
      )
    })

  const askAs = async (filter: Expression, query: string): Promise<Record<string, unknown>> => {
    const project: Project = {
      tables: [thing(filter)],
      functions: [],
      inheritedRoles: [],
      migrationsDirectory: '',
      ignored: [],
    }
    const api = buildApi(project, catalog)
    const { executor } = createRoles({ project, api, database, stringifyNumerics: false })(session)
    const text = await executor.run(executor.read({ query }, session))
    return (JSON.parse(text) as { data: Record<string, unknown> }).data
  }

  it('excludes by every way what plain JavaScript excludes', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, expression, async (rows, filter) => {
        await fill(rows)
        const visible = rows.filter((row) => holds(rows, filter, row, row) === true)
        const ids = (of: readonly Row[]) => of.map(({ id }) => ({ id }))
        const answer = await askAs(
          filter,
          `{
            list: thing(order_by: {id: asc}) { id parent { id } children(order_by: {id: asc}) { id } }
            counted: thing_aggregate { aggregate { count } nodes { id } }
            withParent: thing(where: {parent: {}}, order_by: {id: asc}) { id }
            childless: thing(where: {_not: {children: {}}}, order_by: {id: asc}) { id }
            ${rows.map(({ id }) => `byKey${id}: thing_by_pk(id: ${id}) { id }`).join(' ')}
          }`,
        )
        const parentOf = (row: Row) => visible.find(({ id }) => id === row.parent_id)
        const childrenOf = (row: Row) => visible.filter((other) => other.parent_id === row.id)
        expect(answer['list']).toEqual(
          visible.map((row) => {
            const parent = parentOf(row)
            const seen = parent === undefined ? null : { id: parent.id }
            return { id: row.id, parent: seen, children: ids(childrenOf(row)) }
          }),
        )
        expect(answer['counted']).toMatchObject({ aggregate: { count: visible.length } })
        expect(answer['withParent']).toEqual(ids(visible.filter((row) => parentOf(row) !== undefined)))
        expect(answer['childless']).toEqual(ids(visible.filter((row) => childrenOf(row).length === 0)))
        for (const row of rows)
          expect(answer[`byKey${row.id}`]).toEqual(visible.includes(row) ? { id: row.id } : null)
      }),
      { numRuns: 100 },
    )
  })
})

const thing = (filter: Expression): TrackedTable => {
  const table = { schema: 'public', name: 'thing' }
  return {
    table,
    object_relationships: [{ name: 'parent', using: { foreign_key_constraint_on: ['parent_id'] } }],
    computed_fields: [],
    is_enum: false,
    array_relationships: [
      { name: 'children', using: { foreign_key_constraint_on: { columns: ['parent_id'], table } } },
    ],
    select_permissions: [{ role: 'reader', permission: { columns: '*', filter, allow_aggregations: true } }],
    insert_permissions: [],
    update_permissions: [],
    delete_permissions: [],
    configuration: { custom_root_fields: {}, custom_column_names: {}, column_config: {} },
  }
}

const every = (truths: readonly Truth[]): Truth =>
  truths.includes(false) ? false : truths.includes(null) ? null : true
const some = (truths: readonly Truth[]): Truth =>
  truths.includes(true) ? true : truths.includes(null) ? null : false
const not = (truth: Truth): Truth => (truth === null ? null : !truth)

/** The oracle: the expression's meaning, said once more without SQL. */
function holds(rows: readonly Row[], filter: Expression, row: Row, root: Row): Truth {
  const inner = (of: unknown, on = row): Truth => holds(rows, of as Expression, on, root)
  return every(
    Object.entries(filter).map(([key, value]): Truth => {
      switch (key) {
        case '_and':
          return every((value as unknown[]).map((part) => inner(part)))
        case '$or':
          return some((value as unknown[]).map((part) => inner(part)))
        case '_not':
          return not(inner(value))
        case 'parent':
          return rows.some((other) => other.id === row.parent_id && inner(value, other) === true)
        case 'children':
          return rows.some((other) => other.parent_id === row.id && inner(value, other) === true)
        case '_exists':
          return rows.some((other) => inner((value as { _where: unknown })._where, other) === true)
        default:
          return compare(row, root, key as keyof Row, value)
      }
    }),
  )
}

function compare(row: Row, root: Row, column: keyof Row, value: unknown): Truth {
  const left = row[column]
  const given = (operand: unknown): unknown =>
    typeof operand === 'string' && /^x-hasura-/i.test(operand)
      ? operand.toLowerCase() === 'x-hasura-number'
        ? 2
        : ['a', 'b']
      : operand
  if (typeof value === 'string') return left === null ? null : left === given(value)
  return every(
    Object.entries(value as Expression).map(([operator, operand]): Truth => {
      if (operator === '_is_null') return (left === null) === operand
      if (operator === '_ceq') {
        const other = (Array.isArray(operand) ? root : row).parent_id
        return left === null || other === null ? null : left === other
      }
      const right = given(operand)
      if (operator === '_in' || operator === '_nin') {
        const list = right as readonly unknown[]
        const found = list.length === 0 ? false : left === null ? null : list.includes(left)
        return operator === '_in' ? found : not(found)
      }
      if (left === null) return null
      switch (operator) {
        case '_eq':
          return left === right
        case '_neq':
          return left !== right
        case '_gt':
          return Number(left) > Number(right)
        case '_gte':
          return Number(left) >= Number(right)
        default:
          return Number(left) < Number(right)
      }
    }),
  )
}
