/** What a column may be compared with, by its type: the same table makes the input types and the SQL. */
import type { PgType } from '../catalog/catalog.ts'
import { isTextual } from '../schema/scalars.ts'

/** What stands on the right: a value of the column's type, a list of such, or something else of a fixed type. */
export type Operand = 'same' | 'list' | 'boolean' | 'text' | 'texts'

export interface Operator {
  readonly name: string
  readonly operand: Operand
  /** `left` is the column; `right` is the operand as SQL, or for booleans whether it was true. */
  readonly sql: (left: string, right: string) => string
}

const infix = (name: string, sqlName: string, operand: Operand = 'same'): Operator => ({
  name,
  operand,
  sql: (left, right) => `(${left} ${sqlName} ${right})`,
})

const common: readonly Operator[] = [
  infix('_eq', '='),
  infix('_neq', '<>'),
  infix('_gt', '>'),
  infix('_lt', '<'),
  infix('_gte', '>='),
  infix('_lte', '<='),
  { name: '_in', operand: 'list', sql: (left, right) => `(${left} = any(${right}))` },
  { name: '_nin', operand: 'list', sql: (left, right) => `(${left} <> all(${right}))` },
  {
    name: '_is_null',
    operand: 'boolean',
    sql: (left, right) => `(${left} is ${right === 'true' ? '' : 'not '}null)`,
  },
]
const textual: readonly Operator[] = [
  infix('_like', 'like'),
  infix('_nlike', 'not like'),
  infix('_ilike', 'ilike'),
  infix('_nilike', 'not ilike'),
  infix('_similar', 'similar to'),
  infix('_nsimilar', 'not similar to'),
  infix('_regex', '~'),
  infix('_nregex', '!~'),
  infix('_iregex', '~*'),
  infix('_niregex', '!~*'),
]
const containing: readonly Operator[] = [infix('_contains', '@>'), infix('_contained_in', '<@')]
const keyed: readonly Operator[] = [
  infix('_has_key', '?', 'text'),
  infix('_has_keys_any', '?|', 'texts'),
  infix('_has_keys_all', '?&', 'texts'),
]
/** Members of an enum have no order, though their texts have. */
const sameness = common.filter(({ name }) => ['_eq', '_neq', '_in', '_nin', '_is_null'].includes(name))
/** `json` has no equality in PostgreSQL. */
const nullness = common.filter(({ name }) => name === '_is_null')

export const textType: PgType = { name: 'text', sql: 'text', kind: 'base' }

/** Whether `_cast` may be asked of it: jsonb can be compared as the text that it is written as. */
export const isCastable = (type: PgType): boolean => type.name === 'jsonb'

export function operatorsOf(type: PgType): readonly Operator[] {
  if (type.members !== undefined) return sameness
  if (type.element !== undefined) return [...common, ...containing]
  if (type.name === 'json') return nullness
  if (type.name === 'jsonb') return [...common, ...containing, ...keyed]
  return isTextual(type) ? [...common, ...textual] : common
}
