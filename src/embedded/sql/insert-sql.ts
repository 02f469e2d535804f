import type { Column } from '../catalog/catalog.ts'
import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiTable } from '../schema/api-model.ts'
import { everyRow, noRow } from '../schema/condition.ts'
import { and } from './boolean-sql.ts'
import { requireSql } from './check-sql.ts'
import { conditionSql, givenSql } from './condition-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'
import { noRowsSql } from './update-sql.ts'
import { asFields, isAbsent, whereSql } from './where-sql.ts'

type Fields = Readonly<Record<string, unknown>>

/** A column whose value a nested insert took from another row, as text. */
export interface DeterminedValue {
  readonly column: Column
  readonly text: string | null
}

/** The wire protocol's bound on the parameters of one statement. */
const mostParameters = 65_000

export interface InsertRequest {
  readonly objects: readonly Fields[]
  readonly onConflict: unknown
  /** Where the objects stand in the request, and where the conflict clause does. */
  readonly path: string
  readonly conflictPath: string
  readonly determined?: readonly DeterminedValue[]
}

/** `insert … returning`: what an object leaves out gets its default. */
export function insertSql(
  context: SqlContext,
  table: ApiTable,
  { objects, onConflict, path, conflictPath, determined = [] }: InsertRequest,
): string {
  if (objects.length === 0) return noRowsSql(table)
  const named = new Set(objects.flatMap((object) => Object.keys(object)))
  const { columns: writable = [], presets = [] } = table.access.insert ?? {}
  // What the metadata sets, nobody else does.
  const given = determined.filter(({ column }) => !presets.some((preset) => preset.column === column))
  const used = writable.filter(({ name }) => named.has(name))
  // Rows of nothing but defaults still need one column to say so.
  const columns = used.length + presets.length + given.length > 0 ? used : writable.slice(0, 1)
  if ((columns.length + presets.length + given.length) * objects.length > mostParameters) {
    const words = `too many values in one insert: at most ${Math.floor(mostParameters / columns.length)} such objects`
    throw new HasuraError('validation-failed', words, path)
  }
  const rows = objects.map((object) => {
    const values = columns.map(({ name, column }) =>
      Object.hasOwn(object, name) ? context.value(object[name], column.type) : 'default',
    )
    const preset = presets.map(({ column, value }) => givenSql(context, value, column.type))
    const taken = given.map(({ column, text }) =>
      text === null ? 'null' : `(${context.text(text)})::${column.type.sql}`,
    )
    return `(${[...values, ...preset, ...taken].join(', ')})`
  })
  const alias = context.alias()
  const names = [...columns, ...presets, ...given].map(({ column }) => quoteName(column.name))
  const conflict = isAbsent(onConflict)
    ? ''
    : conflictSql(context, table, alias, asFields(onConflict), conflictPath)
  return (
    `insert into ${relationName(table.table)} as ${alias} (${names.join(', ')}) values ${rows.join(', ')}` +
    `${conflict} returning ${alias}.*${requireSql(checkSql(context, table, alias, conflict !== ''))}`
  )
}

/** A row that was there before is checked as an updated one: only a new one has no `xmax`. */
function checkSql(context: SqlContext, { access }: ApiTable, alias: string, mayUpdate: boolean): string {
  const inserted = conditionSql(context, access.insert?.check ?? noRow, alias)
  if (!mayUpdate || access.update === undefined) return inserted
  const updated = conditionSql(context, access.update.check, alias)
  if (inserted === 'true' && updated === 'true') return 'true'
  return `(case when ${alias}.xmax::text = '0' then ${inserted} else ${updated} end)`
}

function conflictSql(
  context: SqlContext,
  table: ApiTable,
  alias: string,
  clause: Fields,
  path: string,
): string {
  const target = ` on conflict on constraint ${quoteName(clause['constraint'] as string)}`
  const access = table.access.update ?? { columns: [], presets: [], filter: noRow, check: everyRow }
  const columns = [...new Set(clause['update_columns'] as readonly string[])].flatMap((name) =>
    access.columns.filter((column) => column.name === name),
  )
  if (columns.length === 0) return `${target} do nothing`
  const set = columns.map(({ column }) => `${quoteName(column.name)} = excluded.${quoteName(column.name)}`)
  const preset = access.presets.map(
    ({ column, value }) => `${quoteName(column.name)} = ${givenSql(context, value, column.type)}`,
  )
  const where = and([
    isAbsent(clause['where'])
      ? 'true'
      : whereSql(context, table, alias, asFields(clause['where']), `${path}.where`),
    conditionSql(context, access.filter, alias),
  ])
  const condition = where === 'true' ? '' : ` where ${where}`
  return `${target} do update set ${[...set, ...preset].join(', ')}${condition}`
}
