/** What is read of a table's rows, as one JSON expression. */
import { getArgumentValues } from 'graphql'
import type { GraphQLObjectType } from 'graphql'

import type { PgType } from '../catalog/catalog.ts'
import { quoteText } from '../database/database.ts'
import type { AskedField } from '../execution/collect-fields.ts'
import { collectFields, selectionsOf } from '../execution/collect-fields.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable } from '../schema/api-model.ts'
import { isBigNumber, isJson } from '../schema/scalars.ts'
import type { Output } from './json-sql.ts'
import { jsonList, jsonObject } from './json-sql.ts'
import { orderItems, orderSql } from './order-sql.ts'
import { aggregateOutputs } from './aggregate-sql.ts'
import { joinSql } from './boolean-sql.ts'
import { jsonPath } from './json-path.ts'
import type { RowSource } from './row-source.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'
import { columnSql, computedRows, computedSql } from './visible-sql.ts'
import { asFields, isAbsent, whereSql } from './where-sql.ts'

type Arguments = Readonly<Record<string, unknown>>

/** `where`, `order_by`, `limit`, `offset` and `distinct_on` over a source: what follows the columns, and precedes them. */
export function rowsOf(
  context: SqlContext,
  table: ApiTable,
  source: RowSource,
  args: Arguments,
  path: string,
  mostRows?: number,
): { readonly tail: string; readonly distinct: string } {
  const { alias } = source
  const conditions = [
    source.condition ?? 'true',
    isAbsent(args['where'])
      ? 'true'
      : whereSql(context, table, alias, asFields(args['where']), `${path}.where`),
  ].filter((condition) => condition !== 'true')
  const order = isAbsent(args['order_by'])
    ? []
    : orderItems(context, table, alias, args['order_by'] as Arguments[], `${path}.order_by`)
  const distinctOn = isAbsent(args['distinct_on']) ? [] : (args['distinct_on'] as string[])
  if (distinctOn.some((name) => !order.slice(0, distinctOn.length).some(({ column }) => column === name))) {
    if (order.length > 0) {
      const words = '"distinct_on" columns must match initial "order_by" columns'
      throw new HasuraError('validation-failed', words, path)
    }
  }
  const distinctColumns = distinctOn.flatMap((name) => {
    const column = table.columns.get(name)
    return column === undefined ? [] : [columnSql(context, alias, column)]
  })
  const tail = [
    `from ${source.from}`,
    conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`,
    orderSql(order),
    countSql(context, args, 'limit', path, mostRows),
    countSql(context, args, 'offset', path),
  ].join('')
  return {
    tail,
    distinct: distinctColumns.length === 0 ? '' : `distinct on (${distinctColumns.join(', ')}) `,
  }
}

function countSql(
  context: SqlContext,
  args: Arguments,
  name: 'limit' | 'offset',
  path: string,
  most = Number.POSITIVE_INFINITY,
): string {
  const value = args[name] as number | null | undefined
  if (!isAbsent(value) && value < 0)
    throw new HasuraError('validation-failed', 'unexpected negative value', `${path}.${name}`)
  const count = Math.min(value ?? Number.POSITIVE_INFINITY, most)
  return Number.isFinite(count) ? ` ${name} (${context.text(String(count))})::bigint` : ''
}

/** The expressions for the fields asked of each row that `alias` stands for. */
export function rowOutputs(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  field: Pick<AskedField, 'nodes'>,
  path: string,
): readonly Output[] {
  const type = context.schema.getType(table.name) as GraphQLObjectType
  const asked = collectFields(
    field.nodes.map(({ selectionSet }) => selectionSet),
    table.name,
    context.scope,
  )
  return asked.map((each): Output => {
    if (each.name === '__typename') return [each.key, `${quoteText(table.name)}::text`]
    const definition = type.getFields()[each.name]
    const args =
      definition === undefined || (each.node.arguments?.length ?? 0) === 0
        ? {}
        : getArgumentValues(definition, each.node, context.scope.variables)
    const here = `${path}.selectionSet.${each.key}`
    const column = table.columns.get(each.name)
    if (column !== undefined) {
      return [each.key, valueSql(context, columnSql(context, alias, column), column.column.type, args, here)]
    }
    const computed = table.computed.get(each.name)
    if (computed === undefined) return [each.key, relatedSql(context, table, alias, each, args, here)]
    if (computed.gives.kind === 'scalar') {
      const sql = computedSql(context, table, alias, computed, args, here)
      return [each.key, valueSql(context, sql, computed.gives.type, args, here)]
    }
    const { target } = computed.gives
    const source = computedRows(context, table, alias, { field: computed, target, args, path: here })
    return [each.key, listSql(context, target, source, each, args, here)]
  })
}

function valueSql(context: SqlContext, sql: string, type: PgType, args: Arguments, path: string): string {
  if (isJson(type) && typeof args['path'] === 'string') {
    return `(${sql} #> ${context.texts(jsonPath(args['path'], `${path}.args.path`))})`
  }
  if (!context.stringifyNumerics || !isBigNumber(type.element ?? type)) return sql
  return type.element === undefined ? `${sql}::text` : `${sql}::text[]`
}

function relatedSql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  field: AskedField,
  args: Arguments,
  path: string,
): string {
  const isAggregate = !table.relationships.has(field.name)
  const relationship = table.relationships.get(
    isAggregate ? field.name.replace(/_aggregate$/, '') : field.name,
  )
  if (relationship === undefined) {
    throw new HasuraError(
      'validation-failed',
      `field '${field.name}' not found in type: '${table.name}'`,
      path,
    )
  }
  const there = context.alias()
  const { target } = relationship
  const source: RowSource = {
    from: fromTable(context, target, there),
    alias: there,
    condition: joinSql(relationship, alias, there),
  }
  if (isAggregate) return aggregateSql(context, target, source, field, args, path)
  if (relationship.kind === 'array') return listSql(context, target, source, field, args, path)
  return objectSql(context, target, source, field, path)
}

export function listSql(
  context: SqlContext,
  table: ApiTable,
  source: RowSource,
  field: AskedField,
  args: Arguments,
  path: string,
): string {
  const mostRows = table.access.select?.limit
  const { tail, distinct } = rowsOf(context, table, source, args, `${path}.args`, mostRows)
  return jsonList(rowOutputs(context, table, source.alias, field, path), tail, distinct)
}

/** The first row of the source; null when there is none. */
export function objectSql(
  context: SqlContext,
  table: ApiTable,
  source: RowSource,
  field: AskedField,
  path: string,
): string {
  const where = source.condition === undefined ? '' : ` where ${source.condition}`
  return jsonObject(
    rowOutputs(context, table, source.alias, field, path),
    `from ${source.from}${where} limit 1`,
  )
}

export function aggregateSql(
  context: SqlContext,
  table: ApiTable,
  source: RowSource,
  field: AskedField,
  args: Arguments,
  path: string,
): string {
  const { tail, distinct } = rowsOf(context, table, source, args, `${path}.args`)
  const rows = context.alias()
  const outputs = collectFields(selectionsOf(field), `${table.name}_aggregate`, context.scope).map(
    (each): Output => {
      const here = `${path}.selectionSet.${each.key}`
      if (each.name === '__typename') return [each.key, `${quoteText(`${table.name}_aggregate`)}::text`]
      if (each.name === 'nodes') {
        const node = context.alias()
        // A role's limit is on the rows that it is given; what is counted is counted over all of them.
        const limit = countSql(context, {}, 'limit', path, table.access.select?.limit)
        const from = `from ${rows} as ${node}${limit}`
        return [each.key, jsonList(rowOutputs(context, table, node, each, here), from)]
      }
      return [each.key, jsonObject(aggregateOutputs(context, table, rows, each, here))]
    },
  )
  return `(with ${rows} as (select ${distinct}${source.alias}.* ${tail}) select o from ${jsonObject(outputs)} as whole)`
}
