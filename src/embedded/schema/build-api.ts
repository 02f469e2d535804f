/** The metadata laid over the catalog. */
import type { Catalog, ForeignKey, Table } from '../catalog/catalog.ts'
import { keyOf } from '../catalog/catalog.ts'
import { MusterError } from '../../model/errors.ts'
import type {
  ArrayRelationship,
  ObjectRelationship,
  Project,
  QualifiedName,
  TrackedFunction,
  TrackedTable,
} from '../project/metadata.ts'
import { computedField } from './computed-fields.ts'
import { withEnumColumns } from './enum-columns.ts'
import { functionCall } from './function-call.ts'
import { defaultName, isGraphqlName } from './names.ts'
import { everyRow } from './condition.ts'
import type {
  Api,
  ApiColumn,
  ApiFunction,
  ApiTable,
  ComputedField,
  Relationship,
  RootFieldNames,
  TableAccess,
} from './api-model.ts'

type Mutable<T> = T extends ReadonlyMap<infer K, infer V> ? Map<K, V> : never

/** @throws MusterError `config-invalid` that lists every relationship or function that does not fit. */
export function buildApi(project: Project, catalog: Catalog): Api {
  const faults: string[] = []
  const typed = withEnumColumns(project, catalog, (words) => faults.push(words))
  const catalogTables = new Map(typed.map((table) => [keyOf(table), table]))
  const tables = new Map<string, ApiTable>()
  for (const tracked of project.tables) {
    const table = catalogTables.get(keyOf(tracked.table))
    const served = table === undefined ? undefined : apiTable(tracked, table)
    if (table !== undefined && served !== undefined && isGraphqlName(served.name)) {
      tables.set(keyOf(table), served)
    }
  }
  for (const tracked of project.tables) {
    const here = tables.get(keyOf(tracked.table))
    if (here === undefined) continue
    const relationships = here.relationships as Mutable<typeof here.relationships>
    const add = (
      relationship: ObjectRelationship | ArrayRelationship,
      kind: Relationship['kind'],
      join: (Omit<Relationship, 'name' | 'kind' | 'target'> & { target: QualifiedName }) | undefined,
    ): void => {
      const target = join === undefined ? undefined : tables.get(keyOf(join.target))
      if (join === undefined || target === undefined) {
        faults.push(`${keyOf(here.table)}: relationship ${relationship.name} leads to no tracked table`)
      } else if (here.columns.has(relationship.name) || relationships.has(relationship.name)) {
        faults.push(`${keyOf(here.table)}: the name of relationship ${relationship.name} is taken`)
      } else {
        relationships.set(relationship.name, { ...join, name: relationship.name, kind, target })
      }
    }
    for (const relationship of tracked.object_relationships) {
      add(relationship, 'object', objectJoin(relationship, here.table, catalogTables))
    }
    for (const relationship of tracked.array_relationships) {
      add(relationship, 'array', arrayJoin(relationship, here.table, catalogTables))
    }
  }
  const functions: ApiFunction[] = []
  const catalogFunctions = new Map(catalog.functions.map((each) => [keyOf(each), each]))
  for (const tracked of project.tables) {
    const here = tables.get(keyOf(tracked.table))
    const computed = here?.computed as Map<string, ComputedField> | undefined
    for (const field of tracked.computed_fields) {
      const found = catalogFunctions.get(keyOf(field.definition.function))
      if (found === undefined || here === undefined) continue
      const made = computedField(field, here.table, found, tables)
      if (typeof made === 'string') faults.push(made)
      else if ([here.columns, here.relationships, here.computed].some((each) => each.has(field.name))) {
        faults.push(`${keyOf(here.table)}: the name of computed field ${field.name} is taken`)
      } else computed?.set(field.name, made)
    }
  }
  for (const tracked of project.functions) {
    const found = catalogFunctions.get(keyOf(tracked.function))
    const returns = found?.returns === undefined ? undefined : tables.get(keyOf(found.returns))
    if (found === undefined) continue
    if (returns === undefined) faults.push(`function ${keyOf(found)} does not return a tracked table`)
    else {
      const served = apiFunction(tracked, found, returns)
      if (isGraphqlName(served.name)) functions.push(served)
    }
  }
  if (faults.length > 0) {
    throw new MusterError('config-invalid', `the metadata does not fit the database: ${faults.join('; ')}`, {
      details: faults,
    })
  }
  return { tables: [...tables.values()], functions }
}

function apiTable(tracked: TrackedTable, table: Table): ApiTable {
  const { configuration } = tracked
  const name = configuration.custom_name ?? defaultName(table)
  const columns = table.columns.map((column): ApiColumn => {
    const custom = configuration.column_config[column.name]?.custom_name
    return { name: custom ?? configuration.custom_column_names[column.name] ?? column.name, column }
  })
  const primaryKey = table.primaryKey.flatMap((key) => columns.filter(({ column }) => column.name === key))
  const byDefault: RootFieldNames = {
    select: name,
    select_by_pk: `${name}_by_pk`,
    select_aggregate: `${name}_aggregate`,
    select_stream: `${name}_stream`,
    insert: `insert_${name}`,
    insert_one: `insert_${name}_one`,
    update: `update_${name}`,
    update_by_pk: `update_${name}_by_pk`,
    update_many: `update_${name}_many`,
    delete: `delete_${name}`,
    delete_by_pk: `delete_${name}_by_pk`,
  }
  const custom = Object.entries(configuration.custom_root_fields).filter(
    ([, value]) => typeof value === 'string',
  )
  return {
    name,
    table,
    columns: new Map(
      columns.filter(({ name: field }) => isGraphqlName(field)).map((column) => [column.name, column]),
    ),
    relationships: new Map(),
    computed: new Map(),
    primaryKey: primaryKey.every((key) => isGraphqlName(key.name)) ? primaryKey : [],
    rootFields: { ...byDefault, ...Object.fromEntries(custom) },
    access: fullAccess(table, columns),
  }
}

/** The administrator's: whatever the database allows. */
function fullAccess(table: Table, columns: readonly ApiColumn[]): TableAccess {
  const writable = columns.filter(({ name, column }) => isGraphqlName(name) && !column.isGenerated)
  const isWritable = writable.length > 0
  const insert = { columns: writable, presets: [], check: everyRow }
  return {
    select: {
      filter: everyRow,
      limit: undefined,
      hasAggregates: true,
      queryRoots: allRoots,
      subscriptionRoots: allRoots,
    },
    insert: table.isInsertable && isWritable ? insert : undefined,
    update: table.isUpdatable && isWritable ? { ...insert, filter: everyRow } : undefined,
    delete: table.isDeletable ? { filter: everyRow } : undefined,
  }
}

/** As the metadata calls the root fields that read. */
export const allRoots: ReadonlySet<string> = new Set([
  'select',
  'select_by_pk',
  'select_aggregate',
  'select_stream',
])

function apiFunction(
  tracked: TrackedFunction,
  found: ApiFunction['function'],
  returns: ApiTable,
): ApiFunction {
  return {
    ...functionCall(found, { session: tracked.configuration.session_argument }),
    name: tracked.configuration.custom_name ?? defaultName(found),
    exposedAs: tracked.configuration.exposed_as ?? (found.isVolatile ? 'mutation' : 'query'),
    returns,
  }
}

type Tables = ReadonlyMap<string, Table>

function objectJoin({ using }: ObjectRelationship, here: Table, tables: Tables) {
  if ('manual_configuration' in using) {
    return manualJoin(using.manual_configuration, 'object')
  }
  const by = using.foreign_key_constraint_on
  if ('table' in by) return reverseJoin(by, here, tables)
  const key = here.foreignKeys.find((each) => sameNames(each.columns, by))
  if (key === undefined) return undefined
  const isNullable = here.columns.some(
    ({ name, isNullable: mayBeNull }) => mayBeNull && key.columns.includes(name),
  )
  return {
    target: { schema: key.foreignSchema, name: key.foreignTable },
    on: key.columns.map((column, place) => ({ here: column, there: key.foreignColumns[place] ?? column })),
    isNullable,
    insertsAfter: false,
  }
}

function arrayJoin({ using }: ArrayRelationship, here: Table, tables: Tables) {
  if ('manual_configuration' in using) return manualJoin(using.manual_configuration, 'array')
  return reverseJoin(using.foreign_key_constraint_on, here, tables)
}

/** Through the other table's foreign key to this one. */
function reverseJoin(by: { columns: readonly string[]; table: QualifiedName }, here: Table, tables: Tables) {
  const leadsHere = (key: ForeignKey): boolean =>
    key.foreignSchema === here.schema && key.foreignTable === here.name && sameNames(key.columns, by.columns)
  const key = tables.get(keyOf(by.table))?.foreignKeys.find(leadsHere)
  if (key === undefined) return undefined
  return {
    target: by.table,
    on: key.columns.map((column, place) => ({ here: key.foreignColumns[place] ?? column, there: column })),
    isNullable: true,
    insertsAfter: true,
  }
}

function manualJoin(
  manual: {
    remote_table: QualifiedName
    column_mapping: Readonly<Record<string, string>>
    insertion_order?: 'before_parent' | 'after_parent' | null | undefined
  },
  kind: Relationship['kind'],
) {
  const on = Object.entries(manual.column_mapping).map(([column, there]) => ({ here: column, there }))
  const insertsAfter = kind === 'array' || manual.insertion_order === 'after_parent'
  return { target: manual.remote_table, on, isNullable: kind === 'object', insertsAfter }
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name) => b.includes(name))
