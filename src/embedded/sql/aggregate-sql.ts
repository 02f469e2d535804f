/**
 * `aggregate { count sum { … } … }` over rows that have a name. Each part looks at the rows by itself: an aggregate that
 * stands in a query of its own inside does not make one row of the rows around it.
 */
import { getArgumentValues } from 'graphql'
import type { GraphQLObjectType } from 'graphql'

import type { PgType } from '../catalog/catalog.ts'
import { quoteText } from '../database/database.ts'
import type { AskedField } from '../execution/collect-fields.ts'
import { collectFields, selectionsOf } from '../execution/collect-fields.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable } from '../schema/api-model.ts'
import { isBigNumber } from '../schema/scalars.ts'
import type { Output } from './json-sql.ts'
import { jsonObject } from './json-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { columnSql, computedSql } from './visible-sql.ts'

export function aggregateOutputs(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
  path: string,
): readonly Output[] {
  const typeName = `${table.name}_aggregate_fields`
  const type = context.schema.getType(typeName) as GraphQLObjectType
  return collectFields(selectionsOf(field), typeName, context.scope).map((each): Output => {
    if (each.name === '__typename') return [each.key, `${quoteText(typeName)}::text`]
    if (each.name === 'count') {
      return [each.key, `(select ${countSql(context, table, rows, each, type)} from ${rows})`]
    }
    const over = overColumns(context, table, rows, each, `${path}.selectionSet.${each.key}`)
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
  const columns = names.flatMap((name) => {
    const column = table.columns.get(name)
    return column === undefined ? [] : [columnSql(context, rows, column)]
  })
  if (columns.length === 0) return 'count(*)'
  const list = columns.length === 1 ? columns.join('') : `(${columns.join(', ')})`
  return `count(${args['distinct'] === true ? 'distinct ' : ''}${list})`
}

function overColumns(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
  path: string,
): readonly Output[] {
  const typeName = `${table.name}_${field.name}_fields`
  const type = context.schema.getType(typeName) as GraphQLObjectType
  return collectFields(selectionsOf(field), typeName, context.scope).map((each): Output => {
    if (each.name === '__typename') return [each.key, `max(${quoteText(typeName)}::text)`]
    const { sql: value, type: valueType } = valueOf(context, table, rows, each, type, path)
    const sql = `${field.name}(${value})`
    const isText = context.stringifyNumerics && (isBigNumber(valueType) || field.name === 'sum')
    return [each.key, isText ? `${sql}::text` : sql]
  })
}

/** The value of a column, or of a computed field. */
function valueOf(
  context: SqlContext,
  table: ApiTable,
  rows: string,
  field: AskedField,
  type: GraphQLObjectType,
  path: string,
): { readonly sql: string; readonly type: PgType } {
  const column = table.columns.get(field.name)
  if (column !== undefined) return { sql: columnSql(context, rows, column), type: column.column.type }
  const computed = table.computed.get(field.name)
  const definition = type.getFields()[field.name]
  const at = `${path}.selectionSet.${field.key}`
  if (computed?.gives.kind !== 'scalar' || definition === undefined) {
    throw new HasuraError('validation-failed', `field '${field.name}' not found in type: '${type.name}'`, at)
  }
  const args = getArgumentValues(definition, field.node, context.scope.variables)
  return { sql: computedSql(context, table, rows, computed, args, at), type: computed.gives.type }
}
