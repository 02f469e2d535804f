/** `where` as SQL. */
import type { PgType } from '../catalog/catalog.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable, ComputedField, Relationship } from '../schema/api-model.ts'
import { booleanType, countType, scalarName } from '../schema/scalars.ts'
import { and, joinSql, or } from './boolean-sql.ts'
import type { Operator } from './operators.ts'
import { isCastable, operatorsOf, textType } from './operators.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'
import { columnSql, computedRows, computedSql } from './visible-sql.ts'

type Fields = Readonly<Record<string, unknown>>

export const asFields = (value: unknown): Fields => value as Fields
export const isAbsent = (value: unknown): value is null | undefined => value === null || value === undefined

/** True for an empty filter. `path` is where it stands in the request. */
export function whereSql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  where: Fields,
  path: string,
): string {
  return and(
    Object.entries(where).map(([name, value]) => {
      const here = `${path}.${name}`
      if (name === '_and' || name === '_or') {
        const parts = (isAbsent(value) ? [] : (value as Fields[])).map((part, index) =>
          whereSql(context, table, alias, part, `${here}[${index}]`),
        )
        return name === '_and' ? and(parts) : or(parts)
      }
      if (isAbsent(value)) {
        // As the engine reads it: an absent filter, not a filter for nulls.
        if (name === '_not') return 'true'
        throw new HasuraError('validation-failed', `unexpected null value for '${name}'`, here)
      }
      if (name === '_not') return `(not ${whereSql(context, table, alias, asFields(value), here)})`
      const relationship = table.relationships.get(name)
      if (relationship !== undefined) return existsSql(context, relationship, alias, asFields(value), here)
      const column = table.columns.get(name)
      const computed = table.computed.get(name)
      if (computed !== undefined)
        return computedFilter(context, table, computed, alias, asFields(value), here)
      const aggregated = table.relationships.get(name.replace(/_aggregate$/, ''))
      if (column === undefined && aggregated !== undefined) {
        return aggregateSql(context, aggregated, alias, asFields(value), here)
      }
      if (column === undefined)
        throw new HasuraError('validation-failed', `there is no column '${name}'`, here)
      // Nothing is compared, and what would be compared may hold parameters of its own.
      if (Object.keys(asFields(value)).length === 0) return 'true'
      const { type } = column.column
      return comparisonSql(context, columnSql(context, alias, column), type, asFields(value), here)
    }),
  )
}

function existsSql(
  context: SqlContext,
  relationship: Relationship,
  here: string,
  where: Fields,
  path: string,
): string {
  const there = context.alias()
  const from = fromTable(context, relationship.target, there)
  const filter = whereSql(context, relationship.target, there, where, path)
  return `exists (select 1 from ${from} where ${and([joinSql(relationship, here, there), filter])})`
}

function computedFilter(
  context: SqlContext,
  table: ApiTable,
  field: ComputedField,
  here: string,
  value: Fields,
  path: string,
): string {
  if (field.gives.kind === 'scalar') {
    // Nothing is compared, so nothing is called: its arguments would be parameters that no statement has.
    if (Object.keys(value).length === 0) return 'true'
    const left = computedSql(context, table, here, field, {}, path)
    return comparisonSql(context, left, field.gives.type, value, path)
  }
  const { target } = field.gives
  const rows = computedRows(context, table, here, { field, target, args: {}, path })
  const filter = and([rows.condition ?? 'true', whereSql(context, target, rows.alias, value, path)])
  return `exists (select 1 from ${rows.from} where ${filter})`
}

/** What an aggregate over the related rows, or over those that `filter` leaves, must be. */
function aggregateSql(
  context: SqlContext,
  { target, on }: Relationship,
  here: string,
  predicates: Fields,
  path: string,
): string {
  return and(
    Object.entries(predicates).map(([name, value]) => {
      const at = `${path}.${name}`
      if (isAbsent(value)) {
        throw new HasuraError('validation-failed', `unexpected null value for '${name}'`, at)
      }
      const { arguments: args, distinct, filter, predicate } = asFields(value)
      const there = context.alias()
      const from = fromTable(context, target, there)
      const kept = isAbsent(filter)
        ? 'true'
        : whereSql(context, target, there, asFields(filter), `${at}.filter`)
      const names = isAbsent(args) ? [] : ([args].flat() as string[])
      const columns = names.flatMap((each) => {
        const column = target.columns.get(each)
        return column === undefined ? [] : [columnSql(context, there, column)]
      })
      const list = columns.length > 1 ? `(${columns.join(', ')})` : (columns[0] ?? '*')
      const isDistinct = distinct === true && columns.length > 0
      const left = `${name}(${isDistinct ? 'distinct ' : ''}${list})`
      const type = name === 'count' ? countType : booleanType
      const having = comparisonSql(context, left, type, asFields(predicate), `${at}.predicate`)
      const rows = and([joinSql({ on }, here, there), kept])
      return `exists (select 1 from ${from} where ${rows} having ${having})`
    }),
  )
}

function comparisonSql(
  context: SqlContext,
  left: string,
  type: PgType,
  comparison: Fields,
  path: string,
): string {
  const operators = operatorsOf(type)
  return and(
    Object.entries(comparison).map(([name, value]) => {
      if (name === '_cast' && isCastable(type) && !isAbsent(value)) {
        return castSql(context, left, asFields(value), `${path}._cast`)
      }
      const operator = operators.find((each) => each.name === name)
      if (operator === undefined)
        throw new HasuraError('validation-failed', `there is no operator '${name}'`, path)
      if (isAbsent(value)) {
        const words = `unexpected null value for type '${scalarName(type.element ?? type)}'`
        throw new HasuraError('validation-failed', words, `${path}.${name}`)
      }
      return operator.sql(left, operandSql(context, operator, type, value))
    }),
  )
}

function castSql(context: SqlContext, left: string, casts: Fields, path: string): string {
  return and(
    Object.entries(casts).map(([name, value]) => {
      if (isAbsent(value)) {
        throw new HasuraError('validation-failed', `unexpected null value for '${name}'`, `${path}.${name}`)
      }
      return comparisonSql(context, `(${left})::text`, textType, asFields(value), `${path}.${name}`)
    }),
  )
}

function operandSql(context: SqlContext, { operand }: Operator, type: PgType, value: unknown): string {
  switch (operand) {
    case 'same':
      return context.value(value, type)
    case 'list':
      return context.list(value as readonly unknown[], type)
    case 'boolean':
      return String(value)
    case 'text':
      return context.text(value as string)
    case 'texts':
      return context.texts(value as readonly string[])
  }
}
