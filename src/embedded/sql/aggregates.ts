import type { ApiColumn, ApiTable } from '../schema/api-model.ts'
import { isJson, isNumeric } from '../schema/scalars.ts'

export interface Aggregate {
  /** As in the schema and in SQL. */
  readonly name: string
  readonly columns: readonly ApiColumn[]
  /** Gives a value of the column's own type; the others give a fraction. */
  readonly isExact: boolean
}

const ofNumbers = ['avg', 'stddev', 'stddev_pop', 'stddev_samp', 'sum', 'var_pop', 'var_samp', 'variance']
/** Types that `max` and `min` do not take. */
const withoutOrder = new Set(
  'bool bit box bytea circle line lseg macaddr macaddr8 path point polygon tsquery tsvector varbit xid'.split(
    ' ',
  ),
)

/** What may be computed over a table's columns, beside `count`. */
export function aggregatesOf(table: ApiTable): readonly Aggregate[] {
  const columns = [...table.columns.values()]
  const numeric = columns.filter(({ column }) => isNumeric(column.type))
  const comparable = columns.filter(
    ({ column: { type } }) =>
      type.element === undefined &&
      !isJson(type) &&
      !withoutOrder.has(type.name) &&
      (type.kind === 'enum' || type.kind === 'base') &&
      type.name !== 'uuid',
  )
  return [
    ...ofNumbers.map((name) => ({ name, columns: numeric, isExact: name === 'sum' })),
    ...['max', 'min'].map((name) => ({ name, columns: comparable, isExact: true })),
  ].filter((aggregate) => aggregate.columns.length > 0)
}
