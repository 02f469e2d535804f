import type { Catalog, Column, Table } from '../../../../src/embedded/catalog/catalog.ts'

export const aColumn = (name: string, overrides: Partial<Column> = {}): Column => ({
  name,
  type: { name: 'text', sql: 'text', kind: 'base' },
  isNullable: true,
  hasDefault: false,
  isGenerated: false,
  ...overrides,
})

export const aTable = (name: string, overrides: Partial<Table> = {}): Table => ({
  schema: 'public',
  name,
  isView: false,
  columns: [aColumn('id', { isNullable: false }), aColumn('name')],
  primaryKey: ['id'],
  uniqueConstraints: [`${name}_pkey`],
  foreignKeys: [],
  isInsertable: true,
  isUpdatable: true,
  isDeletable: true,
  sources: [`public.${name}`],
  ...overrides,
})

export const aCatalog = (...tables: Table[]): Catalog => ({ tables, functions: [], enums: new Map() })
