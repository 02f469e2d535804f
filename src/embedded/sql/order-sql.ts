/** `order_by` as SQL; what is ordered by through a relationship is looked up row by row. */
import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable, Relationship } from '../schema/api-model.ts'
import { joinSql } from './boolean-sql.ts'
import { fromTable } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'
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
    const column = table.columns.get(name)?.column
    if (column !== undefined) {
      const sql = `${alias}.${quoteName(column.name)}`
      return [
        {
          sql: wrap?.(sql) ?? sql,
          direction: direction(value),
          column: wrap === undefined ? name : undefined,
        },
      ]
    }
    const relationship = table.relationships.get(name)
    const there = context.alias()
    if (relationship !== undefined) {
      const through = lookup(context, relationship, alias, there)
      const outer: Wrap = (sql) => (wrap ?? same)(through(sql))
      return items(context, relationship.target, there, asFields(value), `${path}.${name}`, outer)
    }
    const aggregated = table.relationships.get(name.replace(/_aggregate$/, ''))
    if (aggregated === undefined)
      throw new HasuraError('validation-failed', `there is no '${name}' to order by`, path)
    const through = lookup(context, aggregated, alias, there)
    const outer: Wrap = (sql) => (wrap ?? same)(through(sql))
    return aggregateItems(aggregated.target, there, asFields(value), outer)
  })
}

function aggregateItems(table: ApiTable, alias: string, order: Fields, wrap: Wrap): OrderItem[] {
  return Object.entries(order).flatMap(([name, value]) => {
    if (isAbsent(value)) return []
    if (name === 'count') return [{ sql: wrap('count(*)'), direction: direction(value), column: undefined }]
    return Object.entries(asFields(value)).flatMap(([field, each]) => {
      const column = table.columns.get(field)?.column
      if (column === undefined || isAbsent(each)) return []
      const sql = `${name}(${alias}.${quoteName(column.name)})`
      return [{ sql: wrap(sql), direction: direction(each), column: undefined }]
    })
  })
}

const same: Wrap = (value) => value

/** What a filter needs is asked for with the first value: PostgreSQL refuses a parameter that stands nowhere. */
function lookup(context: SqlContext, relationship: Relationship, here: string, there: string): Wrap {
  let from: string | undefined
  return (value) => {
    from ??= fromTable(context, relationship.target, there)
    return `(select ${value} from ${from} where ${joinSql(relationship, here, there)})`
  }
}

/** The names are SQL with underscores; what they leave open PostgreSQL decides: nulls last when ascending. */
const direction = (value: unknown): string => String(value).replaceAll('_', ' ')
