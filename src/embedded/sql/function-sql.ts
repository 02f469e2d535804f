import type { ApiFunction } from '../schema/api-model.ts'
import { callSql } from './call-sql.ts'
import { visibleRows } from './row-source.ts'
import type { RowSource } from './row-source.ts'
import type { SqlContext } from './sql-context.ts'

/** A tracked function's rows. */
export function functionRows(
  context: SqlContext,
  of: ApiFunction,
  args: Readonly<Record<string, unknown>>,
  path: string,
): RowSource {
  const given = (args['args'] ?? {}) as Readonly<Record<string, unknown>>
  const call = callSql(context, of, { given, path })
  const alias = context.alias()
  return { from: visibleRows(context, of.returns, call, alias), alias }
}
