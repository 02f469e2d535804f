/**
 * A Hasura project's metadata (config v3), as far as it is served: tracked tables and functions with their names and
 * relationships, and roles' permissions. What a project has beyond that is named in `ignored`, so that its owner is told.
 */
import { access } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { z } from 'zod'

import { tablePermissions } from './permissions.ts'
import { check, fileOf, invalid, readYaml } from './yaml-file.ts'

const name = z.string().min(1)
/** `{name, schema}`; a bare name is in schema `public`. */
const qualifiedName = z.union([
  name.transform((text) => ({ name: text, schema: 'public' })),
  z.object({ name, schema: name.default('public') }),
])

const manualConfiguration = z.object({
  remote_table: qualifiedName,
  column_mapping: z.record(name, name),
  insertion_order: z.enum(['before_parent', 'after_parent']).nullish(),
})
const columnList = z.union([name.transform((column) => [column]), z.array(name).min(1)])
const columnsOfTable = z.union([
  z
    .object({ column: name, table: qualifiedName })
    .transform(({ column, table }) => ({ columns: [column], table })),
  z.object({ columns: z.array(name).min(1), table: qualifiedName }),
])
const objectRelationship = z.object({
  name,
  using: z.union([
    // This table's columns; or, for one-to-one, the other table's.
    z.object({ foreign_key_constraint_on: z.union([columnsOfTable, columnList]) }),
    z.object({ manual_configuration: manualConfiguration }),
  ]),
})
const arrayRelationship = z.object({
  name,
  using: z.union([
    z.object({ foreign_key_constraint_on: columnsOfTable }),
    z.object({ manual_configuration: manualConfiguration }),
  ]),
})
const computedField = z.object({
  name,
  definition: z.object({
    function: qualifiedName,
    /** The argument that is the row; the first where none is named. */
    table_argument: name.nullish(),
    session_argument: name.nullish(),
  }),
  comment: z.string().nullish(),
})
const inheritedRole = z.object({ role_name: name, role_set: z.array(name).min(1) })
const rootFieldName = z.union([name, z.object({ name: name.optional() }).transform((field) => field.name)])

const trackedTable = z.object({
  table: qualifiedName,
  object_relationships: z.array(objectRelationship).default([]),
  array_relationships: z.array(arrayRelationship).default([]),
  computed_fields: z.array(computedField).default([]),
  is_enum: z.boolean().default(false),
  event_triggers: z.array(z.unknown()).optional(),
  ...tablePermissions,
  configuration: z
    .object({
      custom_name: name.optional(),
      custom_root_fields: z.record(z.string(), rootFieldName.nullable()).default({}),
      custom_column_names: z.record(z.string(), name).default({}),
      column_config: z.record(z.string(), z.object({ custom_name: name.optional() })).default({}),
    })
    .default({ custom_root_fields: {}, custom_column_names: {}, column_config: {} }),
})
const trackedFunction = z.object({
  function: qualifiedName,
  permissions: z.array(z.object({ role: name })).default([]),
  configuration: z
    .object({
      exposed_as: z.enum(['query', 'mutation']).optional(),
      custom_name: name.optional(),
      session_argument: name.optional(),
    })
    .default({}),
})
const database = z.object({
  name,
  kind: z.string().default('postgres'),
  tables: z.array(trackedTable).default([]),
  functions: z.array(trackedFunction).default([]),
})
const projectConfig = z.object({
  version: z.literal(3, { error: 'only projects of version 3 are read' }).or(z.literal(2)),
  metadata_directory: z.string().default('metadata'),
  migrations_directory: z.string().default('migrations'),
})

export type QualifiedName = z.output<typeof qualifiedName>
export type TrackedTable = z.output<typeof trackedTable> & {
  /** Where it is written. */
  readonly file?: string
}
export type TrackedFunction = z.output<typeof trackedFunction>
export type TrackedComputedField = z.output<typeof computedField>
export type InheritedRole = z.output<typeof inheritedRole>
export type ObjectRelationship = z.output<typeof objectRelationship>
export type ArrayRelationship = z.output<typeof arrayRelationship>

export interface Project {
  readonly tables: readonly TrackedTable[]
  readonly functions: readonly TrackedFunction[]
  readonly inheritedRoles: readonly InheritedRole[]
  /** `migrations/<name of the database>`, whether or not it is there. */
  readonly migrationsDirectory: string
  /** Parts of the metadata that have content and are not served. */
  readonly ignored: readonly string[]
}

const unserved = [
  'actions',
  'remote_schemas',
  'cron_triggers',
  'rest_endpoints',
  'query_collections',
] as const

/** @throws MusterError `config-invalid` that names the file at fault. */
export async function readProject(directory: string): Promise<Project> {
  const configPath = join(directory, 'config.yaml')
  const config = check(projectConfig, await readYaml(configPath), configPath)
  const metadata = join(directory, config.metadata_directory)
  const path = join(metadata, 'databases', 'databases.yaml')
  const content = await readYaml(path)
  const databases = check(z.array(database), content, path)
  const [served, ...others] = databases
  if (served === undefined || others.length > 0 || served.kind !== 'postgres') {
    throw invalid(path, ['one database of kind postgres is served: there must be exactly one'])
  }
  return {
    tables: served.tables.map((table, place) => ({
      ...table,
      file: fileOf(content, [0, 'tables', place], path),
    })),
    functions: served.functions,
    inheritedRoles: await readInheritedRoles(join(metadata, 'inherited_roles.yaml')),
    migrationsDirectory: join(directory, config.migrations_directory, served.name),
    ignored: [...(await findUnserved(metadata)), ...tablesWithTriggers(served.tables)],
  }
}

async function readInheritedRoles(path: string): Promise<readonly InheritedRole[]> {
  const content = await readIfThere(path)
  return check(z.array(inheritedRole).nullish(), content, path) ?? []
}

function tablesWithTriggers(tables: readonly TrackedTable[]): string[] {
  return tables
    .filter(({ event_triggers: triggers = [] }) => triggers.length > 0)
    .map(({ table }) => `${table.schema}.${table.name}: event_triggers`)
}

async function findUnserved(metadata: string): Promise<string[]> {
  const found: string[] = []
  for (const part of unserved) {
    const path = join(metadata, `${part}.yaml`)
    const value = await readIfThere(path)
    const content = part === 'actions' ? (value as { actions?: unknown } | null)?.actions : value
    if (Array.isArray(content) && content.length > 0) found.push(`${basename(dirname(path))}/${part}.yaml`)
  }
  return found
}

async function readIfThere(path: string): Promise<unknown> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  return isThere ? await readYaml(path) : undefined
}
