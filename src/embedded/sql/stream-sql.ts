/** A streaming subscription: the next rows beyond a cursor, and the cursor after them. */
import { quoteName } from '../database/database.ts'
import type { AskedField } from '../execution/collect-fields.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiColumn, ApiTable } from '../schema/api-model.ts'
import { jsonList } from './json-sql.ts'
import { fromTable } from './row-source.ts'
import { rowOutputs } from './select-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { columnSql } from './visible-sql.ts'
import { asFields, isAbsent, whereSql } from './where-sql.ts'

type Arguments = Readonly<Record<string, unknown>>

export interface StreamCursor {
  readonly column: ApiColumn
  readonly isDescending: boolean
  readonly value: unknown
}

/** @throws HasuraError `validation-failed` unless there is exactly one column with a value. */
export function cursorOf(table: ApiTable, args: Arguments, path: string): StreamCursor {
  const at = `${path}.args.cursor`
  const cursors = (args['cursor'] as (Arguments | null)[]).filter((each) => each !== null)
  // A list that adds up to one column is as good as one that has one.
  const items = cursors.flatMap((cursor) =>
    Object.entries(asFields(cursor['initial_value'])).map(([name, value]) => ({
      name,
      value,
      isDescending: cursor['ordering'] === 'DESC',
    })),
  )
  const [item] = items
  const column = item === undefined ? undefined : table.columns.get(item.name)
  if (item === undefined || column === undefined) {
    throw new HasuraError('validation-failed', 'one streaming column field is expected', at)
  }
  if (items.length > 1) {
    throw new HasuraError('validation-failed', 'multiple column cursors are not supported yet', at)
  }
  if (isAbsent(item.value)) {
    throw new HasuraError('validation-failed', `unexpected null value for '${item.name}'`, at)
  }
  return { column, isDescending: item.isDescending, value: item.value }
}

/** Gives three texts: the rows as JSON; the last row's cursor, null when there are no rows; how many there are. */
export function streamSql(
  context: SqlContext,
  table: ApiTable,
  field: AskedField,
  args: Arguments,
  cursor: StreamCursor,
  path: string,
): string {
  const alias = context.alias()
  const rows = context.alias()
  const name = quoteName(cursor.column.column.name)
  const value = columnSql(context, alias, cursor.column)
  const [beyond, order, back] = cursor.isDescending ? ['<', 'desc', 'asc'] : ['>', 'asc', 'desc']
  const batchSize = args['batch_size'] as number
  if (batchSize < 1)
    throw new HasuraError(
      'validation-failed',
      'unexpected non-positive batch size',
      `${path}.args.batch_size`,
    )
  const filter = isAbsent(args['where'])
    ? 'true'
    : whereSql(context, table, alias, asFields(args['where']), `${path}.args.where`)
  const from = fromTable(context, table, alias)
  const bound = context.value(cursor.value, cursor.column.column.type)
  const outputs = rowOutputs(context, table, rows, field, path)
  return (
    `with b as (select ${alias}.* from ${from} where ${value} ${beyond} ${bound} and ${filter}` +
    ` order by ${value} ${order} limit ${Math.min(batchSize, table.access.select?.limit ?? batchSize)})` +
    ` select ${jsonList(outputs, `from b as ${rows}`)}::text, (select b.${name}::text from b order by b.${name} ${back} limit 1), (select count(*)::text from b)`
  )
}
