/**
 * `aggregate { count sum { … } … }` over rows that have a name. Each part looks at the rows by itself: an aggregate that
 * stands in a query of its own inside does not make one row of the rows around it.
 */
import { getArgumentValues } from 'graphql'
import type { GraphQLObjectType } from 'graphql'

import { quoteName, quoteText } from '../database/database.ts'
import type { AskedField } from '../execution/collect-fields.ts'
import { collectFields, selectionsOf } from '../execution/collect-fields.ts'
import type { ApiTable } from '../schema/api-model.ts'
import { isBigNumber } from '../schema/scalars.ts'
import type { Output } from './json-sql.ts'
import { jsonObject } from './json-sql.ts'
import type { SqlContext } from './sql-context.ts'

export function aggregateOutputs(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
): readonly Output[] {
  const typeName = `${table.name}_aggregate_fields`
  const type = context.schema.getType(typeName) as GraphQLObjectType
  return collectFields(selectionsOf(field), typeName, context.scope).map((each): Output => {
    if (each.name === '__typename') return [each.key, `${quoteText(typeName)}::text`]
    if (each.name === 'count') {
      return [each.key, `(select ${countSql(context, table, rows, each, type)} from ${rows})`]
    }
    const over = overColumns(context, table, rows, each)
    // Without an aggregate there would be an object for each row.
    return [each.key, over.length === 0 ? `'{}'::json` : jsonObject(over, `from ${rows}`)]
  })
}

function countSql(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
  type: GraphQLObjectType,
): string {
  const definition = type.getFields()['count']
  const args =
    definition === undefined ? {} : getArgumentValues(definition, field.node, context.scope.variables)
  const names = (args['columns'] as readonly string[] | null | undefined) ?? []
  const columns = names.map((name) => `${rows}.${quoteName(table.columns.get(name)?.column.name ?? name)}`)
  if (columns.length === 0) return 'count(*)'
  const list = columns.length === 1 ? columns.join('') : `(${columns.join(', ')})`
  return `count(${args['distinct'] === true ? 'distinct ' : ''}${list})`
}

function overColumns(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
): readonly Output[] {
  const typeName = `${table.name}_${field.name}_fields`
  return collectFields(selectionsOf(field), typeName, context.scope).map((each): Output => {
    if (each.name === '__typename') return [each.key, `max(${quoteText(typeName)}::text)`]
    const column = table.columns.get(each.name)?.column
    const sql = `${field.name}(${rows}.${quoteName(column?.name ?? each.name)})`
    const isText =
      context.stringifyNumerics && (column === undefined || isBigNumber(column.type) || field.name === 'sum')
    return [each.key, isText ? `${sql}::text` : sql]
  })
}
