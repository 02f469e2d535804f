/**
 * Computed fields of the metadata over the catalog's functions. What such a function must be, and the words for one that is
 * not, are the engine's (Hasura/Backends/Postgres/DDL/ComputedField.hs).
 */
import type { SqlFunction, Table } from '../catalog/catalog.ts'
import { keyOf } from '../catalog/catalog.ts'
import type { TrackedComputedField } from '../project/metadata.ts'
import type { ApiTable, ComputedField } from './api-model.ts'
import { functionCall } from './function-call.ts'
import { isGraphqlName } from './names.ts'
import { isJson } from './scalars.ts'

/** The field, or in words why it is none. */
export function computedField(
  { name, definition, comment }: TrackedComputedField,
  table: Table,
  of: SqlFunction,
  tables: ReadonlyMap<string, ApiTable>,
): ComputedField | string {
  const { table_argument: rowName, session_argument: session } = definition
  const row = rowName == null ? 0 : of.arguments.findIndex((each) => each.name === rowName)
  const target = of.returns === undefined ? undefined : tables.get(keyOf(of.returns))
  const said = `the function "${nameOf(of)}"`
  const faults = [
    ...(isGraphqlName(name) ? [] : [`"${name}" is not valid GraphQL name`]),
    ...(of.isVolatile ? [`${said} is of type VOLATILE; cannot be added as a computed field`] : []),
    ...returnFaults(of, said, target),
    ...rowFaults(of, said, row, rowName ?? undefined, table),
    ...(session == null ? [] : sessionFaults(of, said, session)),
  ]
  if (faults.length > 0) {
    return `the computed field "${name}" cannot be added to table "${nameOf(table)}" because ${faults.join('; and ')}`
  }
  return {
    ...functionCall(of, { session, row }),
    name,
    comment: comment ?? of.comment ?? `A computed field, executes function "${nameOf(of)}"`,
    gives: target === undefined ? { kind: 'scalar', type: of.returnType } : { kind: 'rows', target },
  }
}

function returnFaults(of: SqlFunction, said: string, target: ApiTable | undefined): string[] {
  if (target !== undefined) return []
  if (of.returns !== undefined) {
    return [`${said} returning set of table "${nameOf(of.returns)}" is not tracked or not found in database`]
  }
  const { kind, name } = of.returnType
  return kind === 'base' && !of.returnsSet ? [] : [`${said} returning type ${name} is not a BASE type`]
}

function rowFaults(
  of: SqlFunction,
  said: string,
  row: number,
  rowName: string | undefined,
  table: Table,
): string[] {
  const argument = of.arguments[row]
  if (argument === undefined) {
    return rowName === undefined
      ? [`${said} has no input arguments`]
      : [`"${rowName}" is not an input argument of ${said}`]
  }
  const which = rowName === undefined ? `first argument of ${said}` : `"${rowName}" argument of ${said}`
  if (argument.relation === undefined) return [`${which} is not COMPOSITE type`]
  if (keyOf(argument.relation) === keyOf(table)) return []
  return [
    `${which} of type "${nameOf(argument.relation)}" is not the table to which the computed field is being added`,
  ]
}

function sessionFaults(of: SqlFunction, said: string, session: string): string[] {
  const argument = of.arguments.find(({ name }) => name === session)
  if (argument === undefined) return [`"${session}" is not an input argument of ${said}`]
  return isJson(argument.type) ? [] : [`"${session}" argument of ${said} is not of type JSON`]
}

const nameOf = (relation: { readonly schema: string; readonly name: string }): string =>
  relation.schema === 'public' ? relation.name : keyOf(relation)
