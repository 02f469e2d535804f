import { quoteName } from '../database/database.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { ApiFunction } from '../schema/api-model.ts'
import type { Session } from '../execution/session.ts'
import { visibleRows } from './row-source.ts'
import type { RowSource } from './select-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'

/** What reads anything: a function's tables are not known. */
export const anySource = '*'

/** A call, as rows. Arguments that have a default may be left out; null is a value. */
export function callSql(
  context: SqlContext,
  of: ApiFunction,
  args: Readonly<Record<string, unknown>>,
  path: string,
): RowSource {
  const given = (args['args'] ?? {}) as Readonly<Record<string, unknown>>
  const parts: string[] = []
  let hasGap = false
  for (const { name, sqlName, type, hasDefault, isSession } of of.arguments) {
    if (isSession && sqlName !== undefined) {
      parts.push(`${quoteName(sqlName)} => ${context.value(sessionJson(context.session), type)}`)
      continue
    }
    const isGiven = Object.hasOwn(given, name)
    if (!isGiven && !hasDefault) {
      throw new HasuraError('not-supported', 'Non default arguments cannot be omitted', `${path}.args.args`)
    }
    if (!isGiven) {
      hasGap = true
      continue
    }
    if (sqlName === undefined && hasGap) {
      throw new HasuraError(
        'not-supported',
        'Non default arguments cannot be omitted',
        `${path}.args.args.${name}`,
      )
    }
    const value = context.value(given[name], type)
    // Once one argument is named, all that follow are.
    parts.push(sqlName === undefined ? value : `${quoteName(sqlName)} => ${value}`)
  }
  context.sources.add(anySource)
  const alias = context.alias()
  const call = `${relationName(of.function)}(${parts.join(', ')})`
  return { from: visibleRows(context, of.returns, call, alias), alias }
}

const sessionJson = ({ role, variables }: Session): Readonly<Record<string, string>> => ({
  ...variables,
  'x-hasura-role': role,
})
