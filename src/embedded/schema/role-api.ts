/**
 * What one role may ask for: the administrator's API cut down to the role's permissions. What is left out of it is
 * neither in the role's schema nor in its SQL. Everything of a table is named here one by one, so that what tables gain
 * later has to be thought of here too.
 */
import { MusterError } from '../../model/errors.ts'
import { keyOf } from '../catalog/catalog.ts'
import type { Project, TrackedTable } from '../project/metadata.ts'
import type { ColumnChoice } from '../project/permissions.ts'
import type { Api, ApiColumn, ApiTable, Relationship, SelectAccess, UpdateAccess } from './api-model.ts'
import { allRoots } from './build-api.ts'
import type { Preset } from './condition.ts'
import { givenValue, isEveryRow } from './condition.ts'
import type { ConditionScope } from './parse-condition.ts'
import { parseCondition } from './parse-condition.ts'

export interface RoleName {
  readonly role: string
  /** Whether permissions that are left to backends count. */
  readonly isBackend: boolean
}

/** Every role that the metadata speaks of. */
export function rolesOf({ tables, functions }: Project): ReadonlySet<string> {
  const ofTables = tables.flatMap((table) => [
    ...table.select_permissions,
    ...table.insert_permissions,
    ...table.update_permissions,
    ...table.delete_permissions,
  ])
  return new Set(
    [...ofTables, ...functions.flatMap(({ permissions }) => permissions)].map(({ role }) => role),
  )
}

/** @throws MusterError `config-invalid` that lists every permission of the role that does not fit. */
export function buildRoleApi(project: Project, admin: Api, who: RoleName): Api {
  const faults: string[] = []
  const all = new Map(admin.tables.map((table) => [keyOf(table.table), table]))
  const tables = new Map<string, ApiTable>()
  for (const tracked of project.tables) {
    const table = all.get(keyOf(tracked.table))
    if (table === undefined) continue
    const fault = (kind: string) => (words: string) => {
      faults.push(`${tracked.file ?? keyOf(tracked.table)}: ${kind} permission of ${who.role}: ${words}`)
    }
    const access = accessOf(tracked, table, who, (kind) => ({ tables: all, root: table, fault: fault(kind) }))
    if (Object.values(access).some((each) => each !== undefined)) {
      tables.set(keyOf(table.table), roleTable(tracked, table, access, who))
    }
  }
  for (const [key, table] of tables) {
    const relationships = table.relationships as Map<string, Relationship>
    for (const relationship of all.get(key)?.relationships.values() ?? []) {
      const target = tables.get(keyOf(relationship.target.table))
      if (target?.access.select === undefined) continue
      // What the target's filter leaves out is missing here too.
      const isNullable = relationship.isNullable || !isEveryRow(target.access.select.filter)
      relationships.set(relationship.name, { ...relationship, target, isNullable })
    }
  }
  if (faults.length > 0) {
    throw new MusterError('config-invalid', `the metadata's permissions do not fit: ${faults.join('; ')}`, {
      details: faults,
    })
  }
  return { tables: [...tables.values()], functions: roleFunctions(project, admin, tables, who.role) }
}

/** A query that returns rows which the role may read anyway needs no permission of its own, as with the engine. */
function roleFunctions(
  project: Project,
  admin: Api,
  tables: ReadonlyMap<string, ApiTable>,
  role: string,
): Api['functions'] {
  const allowed = new Set(
    project.functions
      .filter(({ permissions }) => permissions.some((each) => each.role === role))
      .map((tracked) => keyOf(tracked.function)),
  )
  return admin.functions.flatMap((of) => {
    const returns = tables.get(keyOf(of.returns.table))
    if (returns?.access.select === undefined) return []
    return of.exposedAs === 'query' || allowed.has(keyOf(of.function)) ? [{ ...of, returns }] : []
  })
}

function roleTable(
  tracked: TrackedTable,
  table: ApiTable,
  access: ApiTable['access'],
  { role }: RoleName,
): ApiTable {
  const permission = tracked.select_permissions.find((each) => each.role === role)?.permission
  const readable =
    access.select === undefined || permission === undefined
      ? []
      : chosen([...table.columns.values()], permission.columns)
  return {
    name: table.name,
    table: table.table,
    columns: new Map(readable.map((column) => [column.name, column])),
    relationships: new Map(),
    primaryKey: table.primaryKey.every((key) => readable.includes(key)) ? table.primaryKey : [],
    rootFields: table.rootFields,
    access,
  }
}

function accessOf(
  tracked: TrackedTable,
  table: ApiTable,
  { role, isBackend }: RoleName,
  scopeOf: (kind: string) => ConditionScope,
): ApiTable['access'] {
  const of = <T>(permissions: readonly { role: string; permission: T }[]): T | undefined =>
    permissions.find((each) => each.role === role)?.permission
  const forFrontend = <T extends { backend_only?: boolean | null | undefined }>(
    permission: T | undefined,
  ): T | undefined => (permission?.backend_only === true && !isBackend ? undefined : permission)

  const select = of(tracked.select_permissions)
  const insert = forFrontend(of(tracked.insert_permissions))
  const update = forFrontend(of(tracked.update_permissions))
  const remove = forFrontend(of(tracked.delete_permissions))
  const inserting =
    insert === undefined
      ? undefined
      : writeAccess(scopeOf('insert'), table, table.access.insert?.columns ?? [], insert)
  const updating =
    update === undefined
      ? undefined
      : writeAccess(scopeOf('update'), table, table.access.update?.columns ?? [], update)
  return {
    select: select === undefined ? undefined : selectAccess(scopeOf('select'), table, select),
    // An input without fields is none.
    insert: inserting !== undefined && inserting.columns.length > 0 ? inserting : undefined,
    update:
      updating !== undefined && updating.columns.length + updating.presets.length > 0 ? updating : undefined,
    delete:
      remove === undefined || table.access.delete === undefined
        ? undefined
        : { filter: parseCondition(scopeOf('delete'), table, remove.filter) },
  }
}

function selectAccess(
  scope: ConditionScope,
  table: ApiTable,
  permission: TrackedTable['select_permissions'][number]['permission'],
): SelectAccess | undefined {
  noteUnknown(scope, table, permission.columns)
  const filter = parseCondition(scope, table, permission.filter)
  if (chosen([...table.columns.values()], permission.columns).length === 0) return undefined
  return {
    filter,
    limit: permission.limit ?? undefined,
    hasAggregates: permission.allow_aggregations === true,
    queryRoots: new Set(permission.query_root_fields ?? allRoots),
    subscriptionRoots: new Set(permission.subscription_root_fields ?? allRoots),
  }
}

function writeAccess(
  scope: ConditionScope,
  table: ApiTable,
  writable: readonly ApiColumn[],
  permission: {
    readonly columns: ColumnChoice
    readonly filter?: unknown
    readonly check?: unknown
    readonly set?: Readonly<Record<string, unknown>> | null | undefined
  },
): UpdateAccess {
  noteUnknown(scope, table, permission.columns)
  const presets = Object.entries(permission.set ?? {}).flatMap(([name, value]): Preset[] => {
    const column = table.table.columns.find((each) => each.name === name)
    if (column === undefined) scope.fault(`set: there is no column '${name}'`)
    return column === undefined ? [] : [{ column, value: givenValue(value) }]
  })
  const isPreset = ({ column }: ApiColumn): boolean => presets.some((preset) => preset.column === column)
  return {
    columns: chosen(writable, permission.columns).filter((column) => !isPreset(column)),
    presets,
    filter: parseCondition(scope, table, permission.filter),
    check: parseCondition(scope, table, permission.check),
  }
}

const chosen = (columns: readonly ApiColumn[], choice: ColumnChoice): readonly ApiColumn[] =>
  choice === '*' ? columns : columns.filter(({ column }) => choice.includes(column.name))

function noteUnknown({ fault }: ConditionScope, { table }: ApiTable, choice: ColumnChoice): void {
  for (const name of choice === '*' ? [] : choice) {
    if (table.columns.every((column) => column.name !== name)) fault(`there is no column '${name}'`)
  }
}
