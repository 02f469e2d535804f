/** One statement in the making: its parameters, the names it has used up, and the tables that it reads. */
import type { GraphQLSchema } from 'graphql'

import type { PgType, Table } from '../catalog/catalog.ts'
import { quoteName } from '../database/database.ts'
import type { FieldScope } from '../execution/collect-fields.ts'
import type { Session } from '../execution/session.ts'
import { isExactNumber } from '../schema/exact-json.ts'
import { isJson } from '../schema/scalars.ts'

export interface SqlContext {
  readonly schema: GraphQLSchema
  readonly scope: FieldScope
  /** Who asks: permissions speak of its variables. */
  readonly session: Session
  /** Write bigint, numeric and float8 as text. */
  readonly stringifyNumerics: boolean
  readonly parameters: (string | null)[]
  /** `schema.name` of every table whose change may change the answer. */
  readonly sources: Set<string>
  /** A value of a column's type, as a parameter with its cast. */
  value(value: unknown, type: PgType): string
  /** A list of values of a type for `any` or `all`: one array parameter, or for arrays a query. */
  list(values: readonly unknown[], type: PgType): string
  text(text: string): string
  texts(texts: readonly string[]): string
  alias(): string
  /** What `make` gave when it was first asked for by that key. */
  once(key: string, make: () => string): string
}

type Settings = Pick<SqlContext, 'schema' | 'scope' | 'session' | 'stringifyNumerics'>

export function createSqlContext(settings: Settings): SqlContext {
  const parameters: (string | null)[] = []
  const made = new Map<string, string>()
  let aliases = 0
  const add = (text: string | null, type: string): string => {
    parameters.push(text)
    // The driver sees text whatever the type, so that it has no opinion on the value; PostgreSQL reads it as literals.
    return type === 'text' ? `$${parameters.length}::text` : `($${parameters.length}::text)::${type}`
  }
  /** Arrays in an array would be one of more dimensions: `any` and `all` take a query as well. */
  const rowsOf = (values: readonly unknown[], type: PgType): string => {
    const rows = values.map((value) => `(${add(textOf(value, type), type.sql)})`)
    if (rows.length === 0) return `select null::${type.sql} where false`
    return `select l.v from (values ${rows.join(', ')}) as l (v)`
  }
  return {
    ...settings,
    parameters,
    sources: new Set(),
    value: (value, type) => add(textOf(value, type), type.sql),
    list: (values, type) => {
      if (type.element !== undefined) return rowsOf(values, type)
      return add(arrayText(values.map((value) => textOf(value, type))), `${type.sql}[]`)
    },
    text: (text) => add(text, 'text'),
    texts: (texts) => add(arrayText(texts), 'text[]'),
    alias: () => `t${aliases++}`,
    once: (key, make) => {
      const text = made.get(key) ?? make()
      made.set(key, text)
      return text
    },
  }
}

export const relationName = (relation: Pick<Table, 'schema' | 'name'>): string =>
  `${quoteName(relation.schema)}.${quoteName(relation.name)}`

function textOf(value: unknown, type: PgType): string | null {
  if (value === null || value === undefined) return null
  if (isJson(type)) return JSON.stringify(value)
  const { element } = type
  if (element !== undefined && Array.isArray(value)) {
    return arrayText(value.map((item: unknown) => textOf(item, element)))
  }
  if (isExactNumber(value)) return value.rawJSON
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : JSON.stringify(value)
}

/** PostgreSQL's array literal, every element quoted. */
function arrayText(texts: readonly (string | null)[]): string {
  const quoted = texts.map((text) => (text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`))
  return `{${quoted.join(',')}}`
}
