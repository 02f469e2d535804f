/**
 * Tables that the metadata calls enums: their rows are values of a GraphQL enum. What such a table must be, and the words
 * for what is wrong with one, are the engine's (Hasura/Backends/Postgres/DDL/Table.hs).
 */
import type { Database } from '../database/database.ts'
import { quoteName } from '../database/database.ts'
import type { Column, EnumValue, Table } from './catalog.ts'
import { keyOf } from './catalog.ts'

interface Enums {
  readonly enums: ReadonlyMap<string, readonly EnumValue[]>
  /** In words, one for each table that cannot be an enum. */
  readonly faults: readonly string[]
}

/** Read once, at start: values that come later count from the next start. */
export async function readEnums(database: Database, tables: readonly Table[]): Promise<Enums> {
  const enums = new Map<string, readonly EnumValue[]>()
  const faults: string[] = []
  for (const table of tables) {
    const shape = shapeOf(table)
    const values = Array.isArray(shape) ? [] : await readValues(database, table, shape)
    const wrong = Array.isArray(shape) ? shape : wrongValues(values)
    if (wrong.length === 0) enums.set(keyOf(table), values)
    else faults.push(`the table "${keyOf(table)}" cannot be used as an enum because ${wrong.join('; and ')}`)
  }
  return { enums, faults }
}

interface Shape {
  readonly value: Column
  readonly comment: Column | undefined
}

/** The table's columns, or what is wrong with them. */
function shapeOf({ columns, primaryKey }: Table): Shape | string[] {
  const faults: string[] = []
  const value = columns.find(({ name }) => primaryKey.length === 1 && name === primaryKey[0])
  const [comment, ...more] = columns.filter((column) => column !== value)
  if (primaryKey.length === 0) faults.push('the table must have a primary key')
  else if (value === undefined) {
    faults.push(`the table’s primary key must not span multiple columns (${namesOf(primaryKey)})`)
  } else faults.push(...notText('primary key', value))
  if (more.length > 0) {
    const names = columns.filter((column) => column !== value).map(({ name }) => name)
    faults.push(
      `the table must have exactly one primary key and optionally one comment column, not ${names.length} columns (${namesOf(names)})`,
    )
  } else if (comment !== undefined) faults.push(...notText('comment column', comment))
  return value === undefined || faults.length > 0 ? faults : { value, comment }
}

const notText = (what: string, { name, type }: Column): string[] =>
  type.name === 'text'
    ? []
    : [`the table’s ${what} ("${name}") must have type "text", not type "${type.sql}"`]

async function readValues(
  database: Database,
  { schema, name }: Table,
  { value, comment }: Shape,
): Promise<readonly EnumValue[]> {
  const valueSql = quoteName(value.name)
  const commentSql = comment === undefined ? 'null::text' : quoteName(comment.name)
  const rows = await database.query(
    `select ${valueSql}, ${commentSql} from ${quoteName(schema)}.${quoteName(name)} order by ${valueSql} collate "C"`,
  )
  return rows.map(([text, words]) => {
    const value = { name: text ?? '' }
    return words === null || words === undefined ? value : { ...value, comment: words }
  })
}

/** GraphQL has names of its own for truth and nothing. */
const isEnumValueName = (name: string): boolean =>
  /^[_A-Za-z][_0-9A-Za-z]*$/.test(name) && !['true', 'false', 'null'].includes(name)

function wrongValues(values: readonly EnumValue[]): string[] {
  if (values.length === 0) return ['the table must have at least one row']
  const bad = values.map(({ name }) => name).filter((name) => !isEnumValueName(name))
  if (bad.length === 0) return []
  const [only, ...others] = bad
  return [
    others.length === 0
      ? `the value "${only}" is not a valid GraphQL enum value name`
      : `the values ${bad.map((name) => `"${name}"`).join(', ')} are not valid GraphQL enum value names`,
  ]
}

const namesOf = (names: readonly string[]): string => [...names].sort().join(', ')
