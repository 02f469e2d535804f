/**
 * An insert of rows together with rows that they refer to or that refer to them. What is referred to is written first,
 * and its key taken over; so each row is a statement of its own, in one transaction. Rows that have nothing nested in
 * them go in together.
 */
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable, Relationship } from '../schema/api-model.ts'
import type { DeterminedValue, InsertRequest } from './insert-sql.ts'
import { insertSql } from './insert-sql.ts'
import { asFields, isAbsent } from './where-sql.ts'
import type { Means, Written } from './written-rows.ts'
import { writeRows } from './written-rows.ts'

type Fields = Readonly<Record<string, unknown>>

export const isNested = (table: ApiTable, objects: readonly Fields[]): boolean =>
  table.relationships.size > 0 && objects.some((object) => nestedOf(table, object).length > 0)

/** @param isOne whether the path is that of the one object, or of a list of them */
export async function insertNested(
  means: Means,
  table: ApiTable,
  request: InsertRequest,
  isOne: boolean,
): Promise<Written> {
  const { objects, path, determined = [] } = request
  if (!isNested(table, objects)) {
    objects.forEach((object, index) =>
      refuseDetermined(table, object, determined, isOne ? path : `${path}[${index}]`),
    )
    return await insertRows(means, table, request)
  }
  const rows: Written['rows'][number][] = []
  let affectedRows = 0
  for (const [index, object] of objects.entries()) {
    const at = isOne ? path : `${path}[${index}]`
    const written = await insertOne(means, table, object, { ...request, path: at })
    rows.push(...written.rows)
    affectedRows += written.affectedRows
  }
  return { rows, affectedRows }
}

async function insertOne(
  means: Means,
  table: ApiTable,
  object: Fields,
  request: InsertRequest,
): Promise<Written> {
  const { path } = request
  const determined = [...(request.determined ?? [])]
  refuseDetermined(table, object, determined, path)
  const nested = nestedOf(table, object)
  let affectedRows = 0
  for (const [relationship, value] of nested.filter(([{ insertsAfter }]) => !insertsAfter)) {
    const { name, target, on } = relationship
    const at = `${path}.${name}`
    const isTaken = (column: string): boolean =>
      determined.some((each) => each.column.name === column) || columnsIn(table, object).includes(column)
    const taken = on.filter(({ here }) => isTaken(here))
    if (taken.length > 0) {
      const words = `cannot insert object relationship "${name}" as ${namesOf(taken.map(({ here }) => here))} column values are already determined`
      throw new HasuraError('validation-failed', words, at)
    }
    const written = await insertOne(means, target, asFields(value['data']), nestedRequest(value, at))
    affectedRows += written.affectedRows
    const [row] = written.rows
    if (row === undefined) {
      const words = `cannot proceed to insert object relation "${name}" since insert to table "${target.table.name}" affects zero rows`
      throw new HasuraError('not-supported', words, at)
    }
    determined.push(
      ...taking(
        table,
        on,
        ({ here }) => here,
        ({ there }) => row.values.get(there),
      ),
    )
  }
  const own = await insertRows(means, table, { ...request, objects: [object], determined })
  affectedRows += own.affectedRows
  const [row] = own.rows
  for (const [relationship, value] of nested.filter(([{ insertsAfter }]) => insertsAfter)) {
    const { name, kind, target, on } = relationship
    const at = `${path}.${name}`
    const isOne = kind === 'object'
    if (!isOne && (value['data'] as readonly unknown[]).length === 0) continue
    if (row === undefined) {
      const words = `cannot proceed to insert ${isOne ? 'object' : 'array'} relations since insert to table "${table.table.name}" affects zero rows`
      throw new HasuraError('not-supported', words, path)
    }
    const below: InsertRequest = {
      ...nestedRequest(value, at),
      determined: taking(
        target,
        on,
        ({ there }) => there,
        ({ here }) => row.values.get(here),
      ),
    }
    affectedRows += (await insertNested(means, target, below, isOne)).affectedRows
  }
  return { rows: own.rows, affectedRows }
}

const insertRows = async (means: Means, table: ApiTable, request: InsertRequest): Promise<Written> =>
  await writeRows(means, table, (context) => insertSql(context, table, request), request.path)

type Nested = readonly [relationship: Relationship, value: Fields]

const nestedOf = (table: ApiTable, object: Fields): readonly Nested[] =>
  Object.entries(object).flatMap(([field, value]): Nested[] => {
    const relationship = table.relationships.get(field)
    return relationship === undefined || isAbsent(value) ? [] : [[relationship, asFields(value)]]
  })

function nestedRequest(value: Fields, path: string): InsertRequest {
  const data = value['data']
  return {
    objects: Array.isArray(data) ? (data as Fields[]) : [asFields(data)],
    onConflict: value['on_conflict'],
    path: `${path}.data`,
    conflictPath: `${path}.on_conflict`,
  }
}

type Pair = Relationship['on'][number]

function taking(
  { table }: ApiTable,
  on: Relationship['on'],
  into: (pair: Pair) => string,
  from: (pair: Pair) => string | null | undefined,
): DeterminedValue[] {
  return on.flatMap((pair) => {
    const column = table.columns.find(({ name }) => name === into(pair))
    return column === undefined ? [] : [{ column, text: from(pair) ?? null }]
  })
}

function refuseDetermined(
  table: ApiTable,
  object: Fields,
  determined: readonly DeterminedValue[],
  path: string,
): void {
  const given = columnsIn(table, object)
  const twice = determined.filter(({ column }) => given.includes(column.name))
  if (twice.length === 0) return
  const words = `cannot insert ${namesOf(twice.map(({ column }) => column.name))} columns as their values are already being determined by parent insert`
  throw new HasuraError('validation-failed', words, path)
}

/** The names in SQL of the columns that an object gives; not all that may be written may be read. */
const columnsIn = ({ access }: ApiTable, object: Fields): readonly string[] =>
  (access.insert?.columns ?? [])
    .filter(({ name }) => Object.hasOwn(object, name))
    .map(({ column }) => column.name)

const namesOf = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ')
