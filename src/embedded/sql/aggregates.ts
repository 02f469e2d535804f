import type { PgType } from '../catalog/catalog.ts'
import type { ApiColumn, ApiTable, ScalarField } from '../schema/api-model.ts'
import { isScalarField } from '../schema/api-model.ts'
import { isJson, isNumeric } from '../schema/scalars.ts'

export interface Aggregate {
  /** As in the schema and in SQL. */
  readonly name: string
  readonly columns: readonly ApiColumn[]
  readonly computed: readonly ScalarField[]
  /** Gives a value of the column's own type; the others give a fraction. Of a computed field all give its own. */
  readonly isExact: boolean
}

const ofNumbers = ['avg', 'stddev', 'stddev_pop', 'stddev_samp', 'sum', 'var_pop', 'var_samp', 'variance']
/** Types that `max` and `min` do not take. */
const withoutOrder = new Set(
  'bool bit box bytea circle line lseg macaddr macaddr8 path point polygon tsquery tsvector varbit xid'.split(
    ' ',
  ),
)

/** What may be computed over a table's columns and computed fields, beside `count`. */
export function aggregatesOf(table: ApiTable): readonly Aggregate[] {
  const columns = [...table.columns.values()]
  const computed = [...table.computed.values()].filter(isScalarField)
  const kinds = [
    ...ofNumbers.map((name) => ({ name, fits: isNumeric, isExact: name === 'sum' })),
    ...['max', 'min'].map((name) => ({ name, fits: isComparable, isExact: true })),
  ]
  return kinds
    .map(({ name, fits, isExact }) => ({
      name,
      columns: columns.filter(({ column }) => fits(column.type)),
      computed: computed.filter(({ gives }) => fits(gives.type)),
      isExact,
    }))
    .filter((aggregate) => aggregate.columns.length + aggregate.computed.length > 0)
}

/** Members of an enum have no order. */
const isComparable = (type: PgType): boolean =>
  type.element === undefined &&
  type.members === undefined &&
  !isJson(type) &&
  !withoutOrder.has(type.name) &&
  (type.kind === 'enum' || type.kind === 'base') &&
  type.name !== 'uuid'
