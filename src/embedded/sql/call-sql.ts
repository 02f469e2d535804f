/** Calls of functions, with what the endpoint itself gives them. */
import type { Table } from '../catalog/catalog.ts'
import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import type { FunctionCall } from '../schema/function-call.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'

/** What reads anything: a function's tables are not known. */
export const anySource = '*'

export interface CallRequest {
  /** The field's `args`; what has a default may be left out, and null is a value. */
  readonly given?: Readonly<Record<string, unknown>>
  /** The row that a field is computed of, as SQL. */
  readonly row?: string
  /** Where the field stands. */
  readonly path: string
}

/** By place until something is left out, then by name. @throws HasuraError `not-supported` */
export function callSql(
  context: SqlContext,
  call: FunctionCall,
  { given = {}, row = 'null', path }: CallRequest,
): string {
  const parts: string[] = []
  let hasGap = false
  for (const { name, sqlName, type, hasDefault, source } of call.arguments) {
    if (source === 'client' && !Object.hasOwn(given, name)) {
      if (!hasDefault) throw omitted(`${path}.args.args`)
      hasGap = true
      continue
    }
    if (hasGap && sqlName === undefined) throw omitted(`${path}.args.args.${name}`)
    const value =
      source === 'row'
        ? row
        : context.value(source === 'session' ? sessionJson(context.session) : given[name], type)
    parts.push(hasGap && sqlName !== undefined ? `${quoteName(sqlName)} => ${value}` : value)
  }
  context.sources.add(anySource)
  return `${relationName(call.function)}(${parts.join(', ')})`
}

const omitted = (path: string): HasuraError =>
  new HasuraError('not-supported', 'Non default arguments cannot be omitted', path)

/** A row of the table's type, of whatever rows `alias` stands for. */
export const rowSql = (table: Table, alias: string): string =>
  `row(${table.columns.map(({ name }) => `${alias}.${quoteName(name)}`).join(', ')})::${relationName(table)}`

const sessionJson = ({ role, variables }: Session): Readonly<Record<string, string>> => ({
  ...variables,
  'x-hasura-role': role,
})
