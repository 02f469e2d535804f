/** Columns that refer to an enum table have its values for a type. */
import type { Catalog, Column, EnumMembers, Table } from '../catalog/catalog.ts'
import { keyOf } from '../catalog/catalog.ts'
import type { Project } from '../project/metadata.ts'
import { defaultName } from './names.ts'

/** The catalog with such columns' types; a column that refers to several enums is told to `fault`. */
export function withEnumColumns(
  project: Project,
  catalog: Catalog,
  fault: (words: string) => void,
): readonly Table[] {
  const members = new Map<string, EnumMembers>()
  for (const { table, configuration } of project.tables) {
    const values = catalog.enums.get(keyOf(table))
    const name = configuration.custom_name ?? defaultName(table)
    if (values !== undefined) members.set(keyOf(table), { typeName: `${name}_enum`, values })
  }
  if (members.size === 0) return catalog.tables
  return catalog.tables.map((table) => ({
    ...table,
    columns: table.columns.map((column) => {
      const enums = enumsOf(table, column).filter((each) => members.has(each))
      if (enums.length > 1) {
        const names = enums.map((each) => `"${each}"`).join(', ')
        fault(`${keyOf(table)}: column ${column.name} refers to several enum tables (${names})`)
      }
      const found = members.get(enums[0] ?? '')
      return found === undefined ? column : { ...column, type: { ...column.type, members: found } }
    }),
  }))
}

/** `schema.name` of the tables that the column alone refers to. */
const enumsOf = ({ foreignKeys }: Table, { name }: Column): readonly string[] => [
  ...new Set(
    foreignKeys
      .filter(({ columns }) => columns.length === 1 && columns[0] === name)
      .map((key) => keyOf({ schema: key.foreignSchema, name: key.foreignTable })),
  ),
]
