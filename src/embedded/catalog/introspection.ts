/** The catalog of tracked tables and functions, read from pg_catalog: one statement each, answered as JSON. */
import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'
import type { Database } from '../database/database.ts'
import type { Project, QualifiedName } from '../project/metadata.ts'
import type { Catalog, PgType, SqlFunction, Table } from './catalog.ts'
import { keyOf } from './catalog.ts'
import { readEnums } from './enum-tables.ts'
import { functionsQuery, tablesQuery } from './introspection-sql.ts'

const elementSchema = z.object({
  name: z.string(),
  sql: z.string(),
  kind: z.enum(['base', 'enum', 'composite', 'range', 'other']),
})
const typeSchema = elementSchema
  .extend({ element: elementSchema.nullable() })
  .transform(({ element, ...type }): PgType => (element === null ? type : { ...type, element }))
const comment = z.string().nullable()
const names = z.array(z.string())
const relation = z.object({ schema: z.string(), name: z.string() })

const tableSchema = z.object({
  schema: z.string(),
  name: z.string(),
  isView: z.boolean(),
  columns: z.array(
    z
      .object({
        name: z.string(),
        type: typeSchema,
        isNullable: z.boolean(),
        hasDefault: z.boolean(),
        isGenerated: z.boolean(),
        comment,
      })
      .transform(withoutNullComment),
  ),
  primaryKey: names,
  uniqueConstraints: names,
  foreignKeys: z.array(
    z.object({ columns: names, foreignSchema: z.string(), foreignTable: z.string(), foreignColumns: names }),
  ),
  updatable: z.int(),
  sources: names,
  comment,
})
const functionSchema = z.object({
  schema: z.string(),
  name: z.string(),
  arguments: z.array(
    z
      .object({ name: z.string(), type: typeSchema, hasDefault: z.boolean(), relation: relation.nullable() })
      .transform(({ relation: of, ...rest }) => (of === null ? rest : { ...rest, relation: of })),
  ),
  returnsSet: z.boolean(),
  returns: relation.nullable(),
  returnType: typeSchema,
  isVolatile: z.boolean(),
  comment,
})

export interface Tracked {
  readonly tables: readonly QualifiedName[]
  readonly functions: readonly QualifiedName[]
  /** `schema.name` of those among the tables that are enums. */
  readonly enums?: ReadonlySet<string>
}

/**
 * @throws MusterError `config-invalid` that lists every tracked table or function that the database has not, and what is
 * wrong with tables that are tracked as enums
 */
export async function readCatalog(database: Database, tracked: Tracked): Promise<Catalog> {
  const read = async (sql: string, wanted: readonly QualifiedName[]): Promise<unknown> => {
    const [row] = await database.query(sql, [JSON.stringify(wanted)])
    return JSON.parse(row?.[0] ?? '[]')
  }
  const tables = z
    .array(tableSchema)
    .parse(await read(tablesQuery, tracked.tables))
    .map(tableOf)
  const functions = z
    .array(functionSchema)
    .parse(await read(functionsQuery, tracked.functions))
    .map(functionOf)
  const faults = [
    ...missing('table', tracked.tables, tables),
    ...missing('function', tracked.functions, functions),
    ...overloaded(functions),
  ]
  const { enums, faults: enumFaults } = await readEnums(
    database,
    tables.filter((table) => tracked.enums?.has(keyOf(table)) === true),
  )
  faults.push(...enumFaults)
  if (faults.length > 0) {
    throw new MusterError('config-invalid', `the metadata does not fit the database: ${faults.join('; ')}`, {
      details: faults,
    })
  }
  return { tables, functions, enums }
}

/** All that a project needs to know of its database. A function that serves several purposes is one. */
export function trackedBy({ tables, functions }: Pick<Project, 'tables' | 'functions'>): Tracked {
  const named = [
    ...functions.map((each) => each.function),
    ...tables.flatMap((table) => table.computed_fields.map(({ definition }) => definition.function)),
  ]
  return {
    tables: tables.map(({ table }) => table),
    functions: [...new Map(named.map((each) => [keyOf(each), each])).values()],
    enums: new Set(tables.filter(({ is_enum: isEnum }) => isEnum).map(({ table }) => keyOf(table))),
  }
}

const insertable = 1 << 3
const updatable = 1 << 2
const deletable = 1 << 4

function tableOf({ updatable: bits, ...table }: z.output<typeof tableSchema>): Table {
  return withoutNullComment({
    ...table,
    isInsertable: (bits & insertable) !== 0,
    isUpdatable: (bits & updatable) !== 0,
    isDeletable: (bits & deletable) !== 0,
  })
}

function functionOf({ returns, ...rest }: z.output<typeof functionSchema>): SqlFunction {
  return withoutNullComment({ ...rest, returns: returns ?? undefined })
}

function missing(what: string, wanted: readonly QualifiedName[], found: readonly QualifiedName[]): string[] {
  const known = new Set(found.map(keyOf))
  return wanted.filter((each) => !known.has(keyOf(each))).map((each) => `there is no ${what} ${keyOf(each)}`)
}

function overloaded(functions: readonly SqlFunction[]): string[] {
  const seen = new Set<string>()
  const twice = functions.filter((each) => seen.size === seen.add(keyOf(each)).size)
  return twice.map((each) => `function ${keyOf(each)} is overloaded and cannot be tracked`)
}

function withoutNullComment<T extends { readonly comment: string | null }>(
  value: T,
): Omit<T, 'comment'> & { comment?: string } {
  const { comment: text, ...rest } = value
  return text === null ? rest : { ...rest, comment: text }
}
