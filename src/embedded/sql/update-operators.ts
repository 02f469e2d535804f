import type { PgType } from '../catalog/catalog.ts'
import { isNumeric } from '../schema/scalars.ts'

export interface UpdateOperator {
  /** The argument's name. */
  readonly name: string
  /** What follows the table's name in the name of its input type. */
  readonly inputName: string
  readonly applies: (type: PgType) => boolean
  /** A value of the column's type, a key, an index, or a path of keys. */
  readonly operand: 'value' | 'key' | 'index' | 'path'
  readonly sql: (column: string, operand: string) => string
}

const isJsonb = (type: PgType): boolean => type.name === 'jsonb'

export const updateOperators: readonly UpdateOperator[] = [
  {
    name: '_set',
    inputName: 'set_input',
    applies: () => true,
    operand: 'value',
    sql: (_column, value) => value,
  },
  {
    name: '_inc',
    inputName: 'inc_input',
    applies: isNumeric,
    operand: 'value',
    sql: (column, value) => `${column} + ${value}`,
  },
  {
    name: '_append',
    inputName: 'append_input',
    applies: isJsonb,
    operand: 'value',
    sql: (column, value) => `${column} || ${value}`,
  },
  {
    name: '_prepend',
    inputName: 'prepend_input',
    applies: isJsonb,
    operand: 'value',
    sql: (column, value) => `${value} || ${column}`,
  },
  {
    name: '_delete_key',
    inputName: 'delete_key_input',
    applies: isJsonb,
    operand: 'key',
    sql: (column, key) => `${column} - ${key}`,
  },
  {
    name: '_delete_elem',
    inputName: 'delete_elem_input',
    applies: isJsonb,
    operand: 'index',
    sql: (column, index) => `${column} - ${index}`,
  },
  {
    name: '_delete_at_path',
    inputName: 'delete_at_path_input',
    applies: isJsonb,
    operand: 'path',
    sql: (column, path) => `${column} #- ${path}`,
  },
]
