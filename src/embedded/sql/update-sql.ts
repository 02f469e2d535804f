import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable } from '../schema/api-model.ts'
import { everyRow, noRow } from '../schema/condition.ts'
import { and } from './boolean-sql.ts'
import { requireSql } from './check-sql.ts'
import { conditionSql, givenSql } from './condition-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'
import type { UpdateOperator } from './update-operators.ts'
import { updateOperators } from './update-operators.ts'
import { asFields, isAbsent } from './where-sql.ts'

type Fields = Readonly<Record<string, unknown>>

/** `update … returning`; nothing is written when every operator is given nothing and the metadata sets nothing. */
export function updateSql(
  context: SqlContext,
  table: ApiTable,
  args: Fields,
  where: (alias: string) => string,
  path: string,
): string {
  const { columns = [], presets = [], filter = noRow, check = everyRow } = table.access.update ?? {}
  const given = updateOperators.filter(({ name }) => !isAbsent(args[name]))
  if (given.length === 0 && presets.length === 0) {
    const names = updateOperators.map(({ name }) => `'${name}'`).join(', ')
    throw new HasuraError(
      'validation-failed',
      `at least any one of ${names} operator is expected`,
      `${path}.args`,
    )
  }
  const alias = context.alias()
  const set = new Map<string, string>()
  for (const operator of given) {
    for (const [field, value] of Object.entries(asFields(args[operator.name]))) {
      const column = columns.find(({ name }) => name === field)?.column
      if (column === undefined) continue
      if (set.has(column.name)) {
        const words = `column found in multiple operators: ${field}`
        throw new HasuraError('validation-failed', words, `${path}.args`)
      }
      if (operator.name !== '_set' && isAbsent(value)) {
        throw new HasuraError(
          'validation-failed',
          'unexpected null value',
          `${path}.args.${operator.name}.${field}`,
        )
      }
      const operand =
        operator.operand === 'value' ? context.value(value, column.type) : keySql(context, operator, value)
      set.set(column.name, operator.sql(`${alias}.${quoteName(column.name)}`, operand))
    }
  }
  for (const { column, value } of presets) set.set(column.name, givenSql(context, value, column.type))
  if (set.size === 0) return noRowsSql(table)
  const assignments = Array.from(set, ([name, sql]) => `${quoteName(name)} = ${sql}`)
  const rows = and([where(alias), conditionSql(context, filter, alias)])
  const required = requireSql(conditionSql(context, check, alias))
  return `update ${relationName(table.table)} as ${alias} set ${assignments.join(', ')} where ${rows} returning ${alias}.*${required}`
}

/** Rows of the table's shape, and none of them. */
export const noRowsSql = (table: ApiTable): string => `select * from ${relationName(table.table)} where false`

function keySql(context: SqlContext, { operand }: UpdateOperator, value: unknown): string {
  if (operand === 'path') return context.texts(value as readonly string[])
  const text = context.text(String(value))
  return operand === 'index' ? `(${text})::integer` : text
}
