/**
 * The metadata's boolean expressions, with every name looked up. They speak of columns by their names in SQL, whatever
 * the API calls them, and of every table that is tracked, whatever the role may see.
 */
import type { Column } from '../catalog/catalog.ts'
import { keyOf } from '../catalog/catalog.ts'
import { operatorsOf } from '../sql/operators.ts'
import type { ApiTable, ComputedField } from './api-model.ts'
import type { Condition, GivenValue } from './condition.ts'
import { everyRow, givenValue, isSessionVariable, noRow } from './condition.ts'
import { isPlain } from './function-call.ts'

export interface ConditionScope {
  /** Tracked tables by `schema.name`. */
  readonly tables: ReadonlyMap<string, ApiTable>
  /** The table that the whole expression is about: `["$", "column"]` is a column of it. */
  readonly root: ApiTable
  /** Told of everything that does not fit. */
  readonly fault: (words: string) => void
}

const columnOperators: ReadonlyMap<string, string> = new Map([
  ['_ceq', '='],
  ['_cne', '<>'],
  ['_cneq', '<>'],
  ['_cgt', '>'],
  ['_clt', '<'],
  ['_cgte', '>='],
  ['_clte', '<='],
])

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** No row where there is a fault: nothing is let through by a mistake. */
export function parseCondition(scope: ConditionScope, table: ApiTable, expression: unknown): Condition {
  if (expression === null || expression === undefined) return everyRow
  if (!isFields(expression)) return refused(scope, `${JSON.stringify(expression)} is no boolean expression`)
  return all(
    Object.entries(expression).map(([key, value]) =>
      parseEntry(scope, table, key.replace(/^\$/, '_'), value),
    ),
  )
}

const all = (parts: readonly Condition[]): Condition => {
  const [only, ...others] = parts
  return only !== undefined && others.length === 0 ? only : { kind: 'and', parts }
}

function parseEntry(scope: ConditionScope, table: ApiTable, key: string, value: unknown): Condition {
  switch (key) {
    case '_and':
    case '_or': {
      const parts = (Array.isArray(value) ? value : [value]).map((part) => parseCondition(scope, table, part))
      return { kind: key === '_and' ? 'and' : 'or', parts }
    }
    case '_not':
      return { kind: 'not', part: parseCondition(scope, table, value) }
    case '_exists':
      return parseExists(scope, value)
  }
  const column = table.table.columns.find(({ name }) => name === key)
  if (column !== undefined) return parseComparison(scope, table, column, value)
  const computed = table.computed.get(key)
  if (computed !== undefined) return parseComputed(scope, table, computed, value)
  const relationship = table.relationships.get(key)
  if (relationship === undefined) return refused(scope, `there is no column or relationship '${key}'`)
  const { target, on } = relationship
  return { kind: 'exists', table: target.table, on, where: parseCondition(scope, target, value) }
}

function parseComputed(
  scope: ConditionScope,
  table: ApiTable,
  field: ComputedField,
  value: unknown,
): Condition {
  if (!isPlain(field)) return refused(scope, `the computed field '${field.name}' takes arguments`)
  const of = { call: field, table: table.table }
  if (field.gives.kind === 'rows') {
    return { kind: 'exists-computed', ...of, where: parseCondition(scope, field.gives.target, value) }
  }
  const { type } = field.gives
  const operators = isFields(value) ? Object.entries(value) : [['_eq', value] as const]
  return all(
    operators.map(([key, operand]): Condition => {
      const operator = operatorName(key)
      const given = operandOf(scope, { name: field.name, type }, operator, operand)
      return given === undefined ? noRow : { kind: 'compare-computed', ...of, type, operator, value: given }
    }),
  )
}

const operatorName = (key: string): string => {
  const name = key.replace(/^\$/, '_')
  return name === '_ne' ? '_neq' : name
}

function parseExists(scope: ConditionScope, value: unknown): Condition {
  const { _table: named, _where: where } = isFields(value) ? value : {}
  const { schema = 'public', name } = isFields(named) ? named : { name: named }
  const table =
    typeof schema === 'string' && typeof name === 'string'
      ? scope.tables.get(keyOf({ schema, name }))
      : undefined
  if (table === undefined)
    return refused(scope, `_exists: there is no tracked table ${JSON.stringify(named)}`)
  return { kind: 'exists', table: table.table, on: [], where: parseCondition(scope, table, where) }
}

function parseComparison(scope: ConditionScope, table: ApiTable, column: Column, value: unknown): Condition {
  // Without an operator, equality is meant.
  if (!isFields(value)) return compare(scope, column, '_eq', value)
  return all(
    Object.entries(value).map(([key, operand]) => {
      const name = key.replace(/^\$/, '_')
      const sql = columnOperators.get(name)
      return sql === undefined
        ? compare(scope, column, operatorName(key), operand)
        : compareColumns(scope, table, column, sql, operand)
    }),
  )
}

function compare(scope: ConditionScope, column: Column, operator: string, operand: unknown): Condition {
  const value = operandOf(scope, column, operator, operand)
  return value === undefined ? noRow : { kind: 'compare', column, operator, value }
}

/** Undefined for what does not fit, which is told. */
function operandOf(
  scope: ConditionScope,
  column: Pick<Column, 'name' | 'type'>,
  name: string,
  operand: unknown,
): GivenValue | undefined {
  const refuse = (words: string): GivenValue | undefined => {
    scope.fault(words)
    return undefined
  }
  const operator = operatorsOf(column.type).find((each) => each.name === name)
  const at = `${column.name}.${name}`
  if (operator === undefined) return refuse(`${at}: there is no such operator for ${column.type.sql}`)
  if (operand === null || operand === undefined) return refuse(`${at}: a value is expected`)
  if (operator.operand === 'boolean' && typeof operand !== 'boolean') {
    return refuse(`${at}: true or false is expected`)
  }
  const isList = operator.operand === 'list' || operator.operand === 'texts'
  if (isList && !Array.isArray(operand) && !isSessionVariable(operand)) {
    return refuse(`${at}: a list or a session variable is expected`)
  }
  return givenValue(operand)
}

function compareColumns(
  scope: ConditionScope,
  table: ApiTable,
  column: Column,
  sql: string,
  operand: unknown,
): Condition {
  const path: readonly unknown[] = Array.isArray(operand) ? operand : [operand]
  const isOfRoot = path.length === 2 && path[0] === '$'
  const name = isOfRoot ? path[1] : path.length === 1 ? path[0] : undefined
  const other = (isOfRoot ? scope.root : table).table.columns.find((each) => each.name === name)
  if (other === undefined)
    return refused(scope, `${column.name}: there is no column ${JSON.stringify(operand)}`)
  return { kind: 'compare-columns', column, sql, other, isOfRoot }
}

function refused(scope: ConditionScope, words: string): Condition {
  scope.fault(words)
  return noRow
}
