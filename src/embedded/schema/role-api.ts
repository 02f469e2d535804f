/**
 * What one role may ask for: the administrator's API cut down to the role's permissions. What is left out of it is
 * neither in the role's schema nor in its SQL. Everything of a table is named here one by one, so that what tables gain
 * later has to be thought of here too.
 */
import { MusterError } from '../../model/errors.ts'
import { keyOf } from '../catalog/catalog.ts'
import type { Project, TrackedTable } from '../project/metadata.ts'
import type { Api, ApiTable, ComputedField, Relationship } from './api-model.ts'
import { isEveryRow } from './condition.ts'
import type { Granted } from './granted.ts'
import { grantedTo } from './granted.ts'
import { checkInheritedRoles, inherited } from './inherited-roles.ts'
import type { ConditionScope } from './parse-condition.ts'

export interface RoleName {
  readonly role: string
  /** Whether permissions that are left to backends count. */
  readonly isBackend: boolean
}

/** Every role that the metadata speaks of. @throws MusterError `config-invalid` for roles that cannot be inherited */
export function rolesOf({ tables, functions, inheritedRoles }: Project): ReadonlySet<string> {
  const ofTables = tables.flatMap((table) => [
    ...table.select_permissions,
    ...table.insert_permissions,
    ...table.update_permissions,
    ...table.delete_permissions,
  ])
  const own = [...ofTables, ...functions.flatMap(({ permissions }) => permissions)].map(({ role }) => role)
  checkInheritedRoles(inheritedRoles, new Set(own))
  return new Set([...own, ...inheritedRoles.map((each) => each.role_name)])
}

/** @throws MusterError `config-invalid` that lists every permission of the role that does not fit. */
export function buildRoleApi(project: Project, admin: Api, who: RoleName): Api {
  const faults = new Set<string>()
  const all = new Map(admin.tables.map((table) => [keyOf(table.table), table]))
  const tables = new Map<string, ApiTable>()
  for (const tracked of project.tables) {
    const table = all.get(keyOf(tracked.table))
    if (table === undefined) continue
    const file = tracked.file ?? keyOf(tracked.table)
    const granted = grantedWith(project, who.role, tracked, table, (role, kind) => ({
      tables: all,
      root: table,
      fault: (words) => faults.add(`${file}: ${kind} permission of ${role}: ${words}`),
    }))
    const served = roleTable(table, granted, who)
    if (Object.values(served.access).some((each) => each !== undefined))
      tables.set(keyOf(table.table), served)
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
    // Who may read rows of the table may have them computed.
    const computed = table.computed as Map<string, ComputedField>
    for (const field of table.access.select === undefined ? [] : (all.get(key)?.computed.values() ?? [])) {
      if (field.gives.kind !== 'rows') continue
      const target = tables.get(keyOf(field.gives.target.table))
      if (target?.access.select !== undefined) {
        computed.set(field.name, { ...field, gives: { kind: 'rows', target } })
      }
    }
  }
  if (faults.size > 0) {
    const details = [...faults]
    throw new MusterError('config-invalid', `the metadata's permissions do not fit: ${details.join('; ')}`, {
      details,
    })
  }
  return { tables: [...tables.values()], functions: roleFunctions(project, admin, tables, who.role) }
}

/** Of the role itself, and of the roles that it is made of. */
function grantedWith(
  project: Project,
  role: string,
  tracked: TrackedTable,
  table: ApiTable,
  scopeOf: (role: string, kind: string) => ConditionScope,
): Granted {
  const own = grantedTo(role, tracked, table, (kind) => scopeOf(role, kind))
  const parents = parentsOf(project, role)
  if (parents.length === 0) return own
  return inherited(
    parents.map((parent) => grantedWith(project, parent, tracked, table, scopeOf)),
    own,
  )
}

const parentsOf = ({ inheritedRoles }: Project, role: string): readonly string[] =>
  inheritedRoles.find((each) => each.role_name === role)?.role_set ?? []

/** A query that returns rows which the role may read anyway needs no permission of its own, as with the engine. */
function roleFunctions(
  project: Project,
  admin: Api,
  tables: ReadonlyMap<string, ApiTable>,
  role: string,
): Api['functions'] {
  const roles = withParents(project, role)
  const allowed = new Set(
    project.functions
      .filter(({ permissions }) => permissions.some((each) => roles.has(each.role)))
      .map((tracked) => keyOf(tracked.function)),
  )
  return admin.functions.flatMap((of) => {
    const returns = tables.get(keyOf(of.returns.table))
    if (returns?.access.select === undefined) return []
    return of.exposedAs === 'query' || allowed.has(keyOf(of.function)) ? [{ ...of, returns }] : []
  })
}

const withParents = (project: Project, role: string): ReadonlySet<string> =>
  new Set([role, ...parentsOf(project, role).flatMap((parent) => [...withParents(project, parent)])])

function roleTable(table: ApiTable, granted: Granted, { isBackend }: RoleName): ApiTable {
  const isFor = <T extends { readonly isBackendOnly: boolean }>(grant: T | undefined): T | undefined =>
    grant?.isBackendOnly === true && !isBackend ? undefined : grant
  const { columns = [], computed = [] } = granted.select ?? {}
  const readable = new Map(columns.map((column) => [column.name, column]))
  const primaryKey = table.primaryKey.flatMap(({ name }) => readable.get(name) ?? [])
  return {
    name: table.name,
    table: table.table,
    columns: readable,
    relationships: new Map(),
    computed: new Map(computed.map((field) => [field.name, field])),
    primaryKey: primaryKey.length === table.primaryKey.length ? primaryKey : [],
    rootFields: table.rootFields,
    access: {
      select: granted.select,
      insert: isFor(granted.insert),
      update: isFor(granted.update),
      delete: isFor(granted.delete),
    },
  }
}
