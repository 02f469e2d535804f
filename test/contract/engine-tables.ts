/**
 * The suite's tables in a real engine, made and taken away by its own APIs: `run_sql` of `/v2/query` and single commands
 * of `/v1/metadata`, which add to the metadata that is there and never replace it. The project's tables go into schemas
 * of their own, under names that make the same API as the project's `public` does.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { readYaml } from '../../src/embedded/project/yaml-file.ts'
import type { Target } from './target.ts'
import { post, refusal } from './target.ts'

/** The project's schemas, and what they are here. */
const schemas: ReadonlyMap<string, string> = new Map([
  ['public', 'muster_contract'],
  ['shop', 'muster_contract_shop'],
])
const own = [...schemas.values()]

interface Name {
  readonly name: string
  readonly schema: string
}
type Configured = Readonly<Record<string, unknown>>
interface Relationship {
  readonly name: string
  readonly using: unknown
}
interface RawTable {
  readonly table: Name
  readonly configuration?: Configured
  readonly object_relationships?: readonly Relationship[]
  readonly array_relationships?: readonly Relationship[]
  readonly is_enum?: boolean
  readonly computed_fields?: readonly { readonly name: string; readonly [key: string]: unknown }[]
}
interface RawFunction {
  readonly function: Name
  readonly configuration?: Configured
}
interface Command {
  readonly type: string
  readonly args: unknown
}

export interface EngineTables {
  /** Statements to run as one. */
  readonly up: string
  readonly down: string
  readonly track: readonly Command[]
  readonly untrack: readonly Command[]
}

export async function engineTables(projectDir: string, source: string): Promise<EngineTables> {
  const databases = join(projectDir, 'metadata', 'databases', 'databases.yaml')
  const [database] = (await readYaml(databases)) as [{ tables: RawTable[]; functions: RawFunction[] }]
  const tables = database.tables.map((raw) => moved(raw) as RawTable)
  const functions = database.functions.map((raw) => moved(raw) as RawFunction)
  const relationships = (kind: 'object' | 'array') =>
    tables.flatMap(({ table, [`${kind}_relationships` as const]: all = [] }) =>
      all.map(({ name, using }) => ({
        type: `pg_create_${kind}_relationship`,
        args: { source, table, name, using },
      })),
    )
  return {
    up: await migrationSql(join(projectDir, 'migrations', 'default')),
    down: own.map((schema) => `drop schema if exists ${schema} cascade;`).join('\n'),
    track: [
      ...tables.map(({ table, configuration, is_enum: isEnum = false }) => ({
        type: 'pg_track_table',
        args: { source, table, configuration: named(table, configuration), is_enum: isEnum },
      })),
      ...relationships('object'),
      ...relationships('array'),
      ...tables.flatMap(({ table, computed_fields: fields = [] }) =>
        fields.map((field) => ({ type: 'pg_add_computed_field', args: { source, table, ...field } })),
      ),
      ...functions.map(({ function: name, configuration }) => ({
        type: 'pg_track_function',
        args: { source, function: name, configuration: named(name, configuration) },
      })),
    ],
    untrack: [
      ...functions.map((each) => ({
        type: 'pg_untrack_function',
        args: { source, function: each.function },
      })),
      ...tables.map(({ table }) => ({ type: 'pg_untrack_table', args: { source, table, cascade: true } })),
    ],
  }
}

/** What functions name without a schema they find in the suite's own, whatever the engine's connections have. */
async function migrationSql(directory: string): Promise<string> {
  const names = (await readdir(directory)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name, 'up.sql'), 'utf8')))
  const path = own.join(', ')
  return [
    `create schema muster_contract;\nset local search_path to ${path}, public;`,
    ...texts.map((text) => text.replaceAll(/\bshop\b(?=[.;])/g, 'muster_contract_shop')),
    `do $$ declare each regprocedure; begin
      for each in select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in (${own.map((schema) => `'${schema}'`).join(', ')}) and p.prokind = 'f'
      loop execute format('alter function %s set search_path to ${path}, public', each); end loop;
    end $$;`,
  ].join('\n')
}

/** The same with every name of the project's in its new schema. */
function moved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(moved)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]: [string, unknown]) => {
      if (key === 'schema' && typeof each === 'string') return [key, schemas.get(each) ?? each]
      if (key === 'remote_table' && typeof each === 'string') {
        return [key, { name: each, schema: schemas.get('public') }]
      }
      return [key, moved(each)]
    }),
  )
}

/** As the project would name it: a table of `public` by its own name, any other by its schema's too. */
function named({ name, schema }: Name, configuration: Configured = {}): Configured {
  const before = [...schemas].find(([, moved]) => moved === schema)?.[0] ?? schema
  return { custom_name: before === 'public' ? name : `${before}_${name}`, ...configuration }
}

/** @throws MusterError `config-invalid` in words, with nothing left behind */
export async function makeTables(target: Target, tables: EngineTables, source: string): Promise<void> {
  const { body } = await runSql(
    target,
    source,
    `select nspname from pg_namespace where nspname in (${own.map((schema) => `'${schema}'`).join(', ')})`,
    true,
  )
  const found = (body as { result?: readonly unknown[][] }).result ?? []
  if (found.length > 1) {
    throw refusal(
      `the schemas of the suite are in the database already, perhaps of a run that was cut short: ${own.map((schema) => `drop schema if exists ${schema} cascade`).join('; ')}`,
    )
  }
  await runSql(target, source, tables.up)
  try {
    await command(target, { type: 'bulk', args: tables.track })
  } catch (error) {
    await removeTables(target, tables, source, true)
    throw error
  }
}

/** `isPartial`: what was never tracked need not be untracked. */
export async function removeTables(
  target: Target,
  tables: EngineTables,
  source: string,
  isPartial = false,
): Promise<void> {
  for (const each of tables.untrack) {
    await command(target, each).catch((error: unknown) => {
      if (!isPartial) throw error
    })
  }
  await runSql(target, source, tables.down)
}

async function runSql(target: Target, source: string, sql: string, isReading = false) {
  const args = { source, sql, read_only: isReading }
  return await accepted(target, '/v2/query', { type: 'run_sql', args })
}

const command = async (target: Target, what: Command): Promise<unknown> =>
  await accepted(target, '/v1/metadata', what)

async function accepted(target: Target, path: string, request: Command) {
  const answer = await post(target, path, request)
  if (answer.status === 200) return answer
  throw refusal(`the engine refuses ${request.type}: ${JSON.stringify(answer.body).slice(0, 2_000)}`)
}
