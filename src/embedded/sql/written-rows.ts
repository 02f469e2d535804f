/**
 * Rows that a statement has written, held until a later statement of the same transaction reads them again. So what is
 * read through their relationships is as it is after the write: within one statement it would be as it was before.
 */
import type { Parameters, TextRow } from '../database/database.ts'
import { quoteName } from '../database/database.ts'
import type { ApiTable } from '../schema/api-model.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'

export interface Statement {
  readonly sql: string
  readonly parameters: Parameters
  /** Where in the request the values stand that the database may refuse. */
  readonly path: string
}
export type Execute = (statement: Statement) => Promise<readonly TextRow[]>

export interface Means {
  readonly newContext: () => SqlContext
  readonly execute: Execute
}

interface WrittenRow {
  /** The row as a literal of its table's type. */
  readonly literal: string
  readonly values: ReadonlyMap<string, string | null>
}
export interface Written {
  /** Of the table itself. */
  readonly rows: readonly WrittenRow[]
  /** Of all tables. */
  readonly affectedRows: number
}

/** @param write `insert`, `update` or `delete` that returns the table's rows */
export async function writeRows(
  { newContext, execute }: Means,
  table: ApiTable,
  write: (context: SqlContext) => string,
  path: string,
): Promise<Written> {
  const context = newContext()
  const { columns } = table.table
  const values = columns.map(({ name }) => `m.${quoteName(name)}`)
  const texts = values.map((value) => `${value}::text`)
  const found = await execute({
    sql: `with m as (${write(context)}) select row(${values.join(', ')})::text, ${texts.join(', ')} from m`,
    parameters: context.parameters,
    path,
  })
  const rows = found.map(([literal, ...row]): WrittenRow => {
    const byName = columns.map(({ name }, index) => [name, row[index] ?? null] as const)
    return { literal: literal ?? '', values: new Map(byName) }
  })
  return { rows, affectedRows: rows.length }
}

/** The written rows as rows again: what the answer is read from. */
export function writtenRowsSql(context: SqlContext, table: ApiTable, { rows }: Written): string {
  const type = { name: table.table.name, sql: relationName(table.table), kind: 'composite' } as const
  const literals = rows.map(({ literal }) => literal)
  return `select r.* from unnest(${context.list(literals, type)}) as r`
}
