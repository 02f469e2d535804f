import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiColumn, ApiTable } from '../schema/api-model.ts'
import { writableColumns } from '../schema/mutation-types.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'
import { noRowsSql } from './update-sql.ts'
import { asFields, isAbsent, whereSql } from './where-sql.ts'

type Fields = Readonly<Record<string, unknown>>

/** The wire protocol's bound on the parameters of one statement. */
const mostParameters = 65_000

/** `insert … returning`: what an object leaves out gets its default. */
export function insertSql(
  context: SqlContext,
  table: ApiTable,
  objects: readonly Fields[],
  onConflict: unknown,
  path: string,
): string {
  if (objects.length === 0) return noRowsSql(table)
  const named = new Set(objects.flatMap((object) => Object.keys(object)))
  const writable = writableColumns(table)
  const used = writable.filter(({ name }) => named.has(name))
  // Rows of nothing but defaults still need one column to say so.
  const columns = used.length > 0 ? used : writable.slice(0, 1)
  if (columns.length * objects.length > mostParameters) {
    const words = `too many values in one insert: at most ${Math.floor(mostParameters / columns.length)} such objects`
    throw new HasuraError('validation-failed', words, `${path}.args.objects`)
  }
  const rows = objects.map((object) => {
    const values = columns.map(({ name, column }) =>
      Object.hasOwn(object, name) ? context.value(object[name], column.type) : 'default',
    )
    return `(${values.join(', ')})`
  })
  const alias = context.alias()
  const names = columns.map(({ column }) => quoteName(column.name))
  return (
    `insert into ${relationName(table.table)} as ${alias} (${names.join(', ')}) values ${rows.join(', ')}` +
    `${isAbsent(onConflict) ? '' : conflictSql(context, table, alias, asFields(onConflict), path)} returning ${alias}.*`
  )
}

function conflictSql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  clause: Fields,
  path: string,
): string {
  const target = ` on conflict on constraint ${quoteName(clause['constraint'] as string)}`
  const columns = (clause['update_columns'] as readonly string[])
    .map((name) => table.columns.get(name))
    .filter((column): column is ApiColumn => column !== undefined)
  if (columns.length === 0) return `${target} do nothing`
  const set = columns.map(({ column }) => `${quoteName(column.name)} = excluded.${quoteName(column.name)}`)
  const where = isAbsent(clause['where'])
    ? ''
    : ` where ${whereSql(context, table, alias, asFields(clause['where']), `${path}.args.on_conflict.where`)}`
  return `${target} do update set ${set.join(', ')}${where}`
}
