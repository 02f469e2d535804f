/** `order_by` as SQL; what is ordered by through a relationship is looked up row by row. */
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable, Relationship } from '../schema/api-model.ts'
import { joinSql } from './boolean-sql.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'
import { columnSql, computedRows, computedSql } from './visible-sql.ts'
import { asFields, isAbsent } from './where-sql.ts'

type Fields = Readonly<Record<string, unknown>>
/** A way to the value that is ordered by, made into SQL at the end of the way. */
type Wrap = (value: string) => string

export interface OrderItem {
  readonly sql: string
  readonly direction: string
  /** For columns of the table itself. */
  readonly column: string | undefined
}

export function orderItems(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  orders: readonly Fields[],
  path: string,
): readonly OrderItem[] {
  return orders.flatMap((order, index) => items(context, table, alias, order, `${path}[${index}]`, undefined))
}

export const orderSql = (order: readonly OrderItem[]): string =>
  order.length === 0 ? '' : ` order by ${order.map(({ sql, direction }) => `${sql} ${direction}`).join(', ')}`

function items(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  order: Fields,
  path: string,
  wrap: Wrap | undefined,
): OrderItem[] {
  return Object.entries(order).flatMap(([name, value]) => {
    if (isAbsent(value)) {
      throw new HasuraError('validation-failed', `unexpected null value for '${name}'`, `${path}.${name}`)
    }
    const isColumn = table.columns.has(name)
    if (isColumn || table.computed.get(name)?.gives.kind === 'scalar') {
      const sql = orderedSql(context, table, alias, name, `${path}.${name}`)
      const column = isColumn && wrap === undefined ? name : undefined
      return [{ sql: wrap?.(sql) ?? sql, direction: direction(value), column }]
    }
    const there = context.alias()
    const at = `${path}.${name}`
    const relationship = table.relationships.get(name)
    if (relationship !== undefined) {
      const through = lookup(() => relatedRows(context, relationship, alias, there))
      const outer: Wrap = (sql) => (wrap ?? same)(through(sql))
      return items(context, relationship.target, there, asFields(value), at, outer)
    }
    const aggregated = name.replace(/_aggregate$/, '')
    const related = table.relationships.get(aggregated)
    const field = table.computed.get(aggregated)
    const aggregate = (target: ApiTable, rows: () => string): OrderItem[] => {
      const through = lookup(rows)
      return aggregateItems(context, target, there, asFields(value), at, (sql) =>
        (wrap ?? same)(through(sql)),
      )
    }
    if (related !== undefined) {
      return aggregate(related.target, () => relatedRows(context, related, alias, there))
    }
    if (field?.gives.kind !== 'rows')
      throw new HasuraError('validation-failed', `there is no '${name}' to order by`, path)
    const { target } = field.gives
    return aggregate(target, () => {
      const rows = computedRows(context, table, alias, { field, target, args: {}, path: at, there })
      return `${rows.from} where ${rows.condition ?? 'true'}`
    })
  })
}

function aggregateItems(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  order: Fields,
  path: string,
  wrap: Wrap,
): OrderItem[] {
  return Object.entries(order).flatMap(([name, value]) => {
    if (isAbsent(value)) return []
    if (name === 'count') return [{ sql: wrap('count(*)'), direction: direction(value), column: undefined }]
    return Object.entries(asFields(value)).flatMap(([field, each]) => {
      if (isAbsent(each)) return []
      const sql = wrap(`${name}(${orderedSql(context, table, alias, field, path)})`)
      return [{ sql, direction: direction(each), column: undefined }]
    })
  })
}

/** The value of a column, or of a field that is computed without a client's arguments. */
function orderedSql(context: SqlContext, table: ApiTable, alias: string, name: string, path: string): string {
  const column = table.columns.get(name)
  if (column !== undefined) return columnSql(context, alias, column)
  const field = table.computed.get(name)
  if (field !== undefined) return computedSql(context, table, alias, field, {}, path)
  throw new HasuraError('validation-failed', `there is no '${name}' to order by`, path)
}

const same: Wrap = (value) => value

/** What a filter needs is asked for with the first value: PostgreSQL refuses a parameter that stands nowhere. */
function lookup(rows: () => string): Wrap {
  let from: string | undefined
  return (value) => {
    from ??= rows()
    return `(select ${value} from ${from})`
  }
}

const relatedRows = (context: SqlContext, relationship: Relationship, here: string, there: string): string =>
  `${fromTable(context, relationship.target, there)} where ${joinSql(relationship, here, there)}`

/** The names are SQL with underscores; what they leave open PostgreSQL decides: nulls last when ascending. */
const direction = (value: unknown): string => String(value).replaceAll('_', ' ')
