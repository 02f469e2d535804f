/** `where` as SQL. */
import type { PgType } from '../catalog/catalog.ts'
import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable, Relationship } from '../schema/api-model.ts'
import { scalarName } from '../schema/scalars.ts'
import { and, joinSql, or } from './boolean-sql.ts'
import type { Operator } from './operators.ts'
import { operatorsOf } from './operators.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'

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
      const column = table.columns.get(name)?.column
      if (column === undefined)
        throw new HasuraError('validation-failed', `there is no column '${name}'`, here)
      return comparisonSql(context, `${alias}.${quoteName(column.name)}`, column.type, asFields(value), here)
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
