/**
 * What of a row may be seen, as SQL. Whatever a client reads, filters, orders or counts by comes through here: for a role
 * that is made of several, a column is null in rows that only a role without it is shown.
 */
import { quoteName } from '../database/database.ts'
import type { ApiColumn, ApiTable, ComputedField } from '../schema/api-model.ts'
import type { Condition } from '../schema/condition.ts'
import { callSql, rowSql } from './call-sql.ts'
import { conditionSql } from './condition-sql.ts'
import type { RowSource } from './row-source.ts'
import { visibleRows } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'

type Fields = Readonly<Record<string, unknown>>

export function columnSql(context: SqlContext, alias: string, { column, visible }: ApiColumn): string {
  const sql = `${alias}.${quoteName(column.name)}`
  // Said once: `distinct on` and `order by` must name the same expression by the same parameters.
  return visible === undefined ? sql : context.once(sql, () => whereVisible(context, visible, alias, sql))
}

/** @param args the field's arguments */
export function computedSql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  field: ComputedField,
  args: Fields,
  path: string,
): string {
  const given = (args['args'] ?? {}) as Fields
  const sql = callSql(context, field, { given, row: rowSql(table.table, alias), path })
  return field.visible === undefined ? sql : whereVisible(context, field.visible, alias, sql)
}

export interface ComputedRequest {
  readonly field: ComputedField
  readonly target: ApiTable
  readonly args: Fields
  readonly path: string
  /** The rows' alias, where it was chosen before. */
  readonly there?: string
}

/** Rows of `target` that are computed of the row that `alias` stands for. */
export function computedRows(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  { field, target, args, path, there = context.alias() }: ComputedRequest,
): RowSource {
  const from = visibleRows(context, target, computedSql(context, table, alias, field, args, path), there)
  if (field.function.returnsSet) return { from, alias: there }
  // A function that gives one row gives one of nulls where it has none.
  return { from, alias: there, condition: `not (${there} is null)` }
}

const whereVisible = (context: SqlContext, visible: Condition, alias: string, sql: string): string =>
  `(case when ${conditionSql(context, visible, alias)} then ${sql} end)`
