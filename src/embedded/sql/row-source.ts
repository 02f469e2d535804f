/**
 * The one way to name rows for reading. Whatever reads a table (a root field, a relationship, a filter or an order
 * through one, an aggregate, a stream, what a function returns) comes through here, so that nobody is shown a row that the
 * role's permission leaves out. What a mutation has written itself is shown to who wrote it (mutation-sql.ts).
 */
import type { ApiTable } from '../schema/api-model.ts'
import { noRow } from '../schema/condition.ts'
import { conditionSql } from './condition-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'

/** Where rows come from: `from` introduces them under `alias`; `condition` holds for them all. */
export interface RowSource {
  readonly from: string
  readonly alias: string
  readonly condition?: string
}

/** A table's visible rows under an alias, and the note that the table was read. */
export function fromTable(context: SqlContext, of: ApiTable, alias: string): string {
  for (const source of of.table.sources) context.sources.add(source)
  return visibleRows(context, of, relationName(of.table), alias)
}

/** Of rows of the table's shape, whatever gave them, those that are visible. PostgreSQL merges the two selects. */
export function visibleRows(context: SqlContext, of: ApiTable, rows: string, alias: string): string {
  const inner = context.alias()
  const condition = conditionSql(context, of.access.select?.filter ?? noRow, inner)
  if (condition === 'true') return `${rows} as ${alias}`
  return `(select ${inner}.* from ${rows} as ${inner} where ${condition}) as ${alias}`
}
