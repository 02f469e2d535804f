/** One root field of a query or live query, as one JSON expression. */
import type { AskedField } from '../execution/collect-fields.ts'
import type { ApiFunction, ApiTable } from '../schema/api-model.ts'
import type { QueryField } from '../schema/root-fields.ts'
import { functionRows } from './function-sql.ts'
import { aggregateSql, listSql, objectSql } from './select-sql.ts'
import type { RowSource } from './row-source.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'
import { asFields, whereSql } from './where-sql.ts'

type Arguments = Readonly<Record<string, unknown>>

export function queryFieldSql(
  context: SqlContext,
  meaning: QueryField,
  field: AskedField,
  args: Arguments,
): string {
  const path = `$.selectionSet.${field.key}`
  switch (meaning.kind) {
    case 'select':
      return listSql(context, meaning.table, sourceOf(context, meaning.table), field, args, path)
    case 'select-aggregate':
      return aggregateSql(context, meaning.table, sourceOf(context, meaning.table), field, args, path)
    case 'select-by-pk': {
      const source = sourceOf(context, meaning.table)
      const condition = keySql(context, meaning.table, source.alias, args, path)
      return objectSql(context, meaning.table, { ...source, condition }, field, path)
    }
    case 'function':
      return functionSql(context, meaning.function, field, args)
    case 'function-aggregate':
      return aggregateSql(
        context,
        meaning.function.returns,
        functionRows(context, meaning.function, args, path),
        field,
        args,
        path,
      )
  }
}

/** Also for functions as mutations: what they return is read the same way. */
export function functionSql(
  context: SqlContext,
  of: ApiFunction,
  field: AskedField,
  args: Arguments,
): string {
  const path = `$.selectionSet.${field.key}`
  const source = functionRows(context, of, args, path)
  if (of.function.returnsSet) return listSql(context, of.returns, source, field, args, path)
  return objectSql(
    context,
    of.returns,
    { ...source, condition: `not (${source.alias} is null)` },
    field,
    path,
  )
}

export function sourceOf(context: SqlContext, table: ApiTable): RowSource {
  const alias = context.alias()
  return { from: fromTable(context, table, alias), alias }
}

/** The row whose primary key's columns have these values. */
export function keySql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  key: Arguments,
  path: string,
): string {
  const where = table.primaryKey.map(({ name }) => [name, { _eq: key[name] }])
  return whereSql(context, table, alias, asFields(Object.fromEntries(where)), `${path}.args`)
}
