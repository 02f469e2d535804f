/** A permission's condition as SQL. Every value is a parameter; names come from the catalog. */
import type { PgType } from '../catalog/catalog.ts'
import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Condition, GivenValue } from '../schema/condition.ts'
import { elementOf } from '../schema/condition.ts'
import { and, joinSql, or } from './boolean-sql.ts'
import { callSql, rowSql } from './call-sql.ts'
import { operatorsOf, textType } from './operators.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'

/**
 * Of the row that `alias` stands for; `true` for every row. Rows that it looks at elsewhere are all rows there are: who
 * wrote the permission sees more than who is bound by it.
 */
export function conditionSql(
  context: SqlContext,
  condition: Condition,
  alias: string,
  root: string = alias,
): string {
  const inner = (part: Condition): string => conditionSql(context, part, alias, root)
  switch (condition.kind) {
    case 'and':
      return and(condition.parts.map(inner))
    case 'or':
      return or(condition.parts.map(inner))
    case 'not':
      return `(not ${inner(condition.part)})`
    case 'compare':
      return comparisonSql(
        context,
        condition,
        `${alias}.${quoteName(condition.column.name)}`,
        condition.column.type,
      )
    case 'compare-columns': {
      const { column, sql, other, isOfRoot } = condition
      return `(${alias}.${quoteName(column.name)} ${sql} ${isOfRoot ? root : alias}.${quoteName(other.name)})`
    }
    case 'exists': {
      const { table, on, where } = condition
      for (const source of table.sources) context.sources.add(source)
      const there = context.alias()
      const filter = and([joinSql({ on }, alias, there), conditionSql(context, where, there, root)])
      return `exists (select 1 from ${relationName(table)} as ${there} where ${filter})`
    }
    case 'compare-computed': {
      const { call, table, type } = condition
      const left = callSql(context, call, { row: rowSql(table, alias), path: '$' })
      return comparisonSql(context, condition, left, type)
    }
    case 'exists-computed': {
      const { call, table, where } = condition
      const there = context.alias()
      const rows = callSql(context, call, { row: rowSql(table, alias), path: '$' })
      const filter = conditionSql(context, where, there, root)
      return `exists (select 1 from ${rows} as ${there} where ${filter})`
    }
  }
}

function comparisonSql(
  context: SqlContext,
  { operator: name, value }: { readonly operator: string; readonly value: GivenValue },
  left: string,
  type: PgType,
): string {
  const operator = operatorsOf(type).find((each) => each.name === name)
  // Looked up when the metadata was read; what is not there must not let anything through.
  if (operator === undefined) return 'false'
  switch (operator.operand) {
    case 'same':
      return operator.sql(left, givenSql(context, value, type))
    case 'list':
      return operator.sql(left, listSql(context, value, type))
    case 'boolean':
      return operator.sql(left, String(resolved(context, value)))
    case 'text':
      return operator.sql(left, context.text(String(resolved(context, value))))
    case 'texts':
      return operator.sql(left, listSql(context, value, textType))
  }
}

/** A value of a column's type, also for presets. @throws HasuraError `not-found` */
export function givenSql(context: SqlContext, value: GivenValue, type: PgType): string {
  // A variable is text, whatever it stands for: PostgreSQL reads it as a literal of the type.
  if (value.from === 'session') return `(${context.text(variable(context, value.variable))})::${type.sql}`
  return context.value(resolved(context, value), type)
}

function listSql(context: SqlContext, value: GivenValue, type: PgType): string {
  if (value.from === 'session') return `(${context.text(variable(context, value.variable))})::${type.sql}[]`
  const items = resolved(context, value)
  return context.list(Array.isArray(items) ? items : [items], elementOf(type))
}

function resolved(context: SqlContext, value: GivenValue): unknown {
  switch (value.from) {
    case 'metadata':
      return value.value
    case 'session':
      return variable(context, value.variable)
    case 'list':
      return value.items.map((item) => resolved(context, item))
  }
}

function variable({ session }: SqlContext, name: string): string {
  const value = session.variables[name]
  if (value !== undefined) return value
  throw new HasuraError('not-found', `missing session variable: "${name}"`)
}
