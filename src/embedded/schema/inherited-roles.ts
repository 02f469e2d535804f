/**
 * Roles that are made of others, as the engine makes them (Hasura/RQL/Types/Roles/Internal.hs, Hasura/Table/Cache.hs). Rows
 * that any of the others may read may be read, each column in the rows of those that have it; what changes rows is inherited
 * only where all that grant it grant the same.
 */
import { MusterError } from '../../model/errors.ts'
import { keyOf } from '../catalog/catalog.ts'
import type { InheritedRole } from '../project/metadata.ts'
import type { Condition } from './condition.ts'
import { everyRow, isEveryRow } from './condition.ts'
import type { Granted, GrantedDelete, GrantedSelect, GrantedWrite } from './granted.ts'

/** @param known the roles that have permissions of their own. @throws MusterError `config-invalid` */
export function checkInheritedRoles(roles: readonly InheritedRole[], known: ReadonlySet<string>): void {
  const byName = new Map(roles.map((each) => [each.role_name, each.role_set]))
  const faults = roles.flatMap(({ role_name: role, role_set: parents }) => {
    const missing = parents.filter((parent) => !known.has(parent) && !byName.has(parent))
    const cycle = cycleFrom(role, byName)
    return [
      ...(roles.filter((each) => each.role_name === role).length > 1
        ? [`role "${role}" is defined twice`]
        : []),
      ...(role === 'admin' || parents.includes('admin')
        ? ['"admin" can neither inherit nor be inherited']
        : []),
      ...(missing.length === 0
        ? []
        : [
            `the following parent role(s) are not found: ${missing.map((each) => `"${each}"`).join(', ')} which are required to construct the inherited role: "${role}"`,
          ]),
      ...(cycle === undefined ? [] : [`found cycle(s) in roles: ${JSON.stringify(cycle)}`]),
    ]
  })
  if (faults.length === 0) return
  const words = `inherited_roles.yaml: ${[...new Set(faults)].join('; ')}`
  throw new MusterError('config-invalid', words, { details: faults })
}

function cycleFrom(
  role: string,
  parents: ReadonlyMap<string, readonly string[]>,
  way: readonly string[] = [],
): readonly string[] | undefined {
  if (way.includes(role)) return role === way[0] ? [...way, role] : undefined
  for (const parent of parents.get(role) ?? []) {
    const cycle = cycleFrom(parent, parents, [...way, role])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

/** What a role inherits on a table from roles that are granted these; what it is granted itself comes before. */
export function inherited(parents: readonly Granted[], own: Granted = {}): Granted {
  const selects = parents.flatMap(({ select }) => select ?? [])
  return {
    select: own.select ?? unionOf(selects),
    insert: own.insert ?? sameOf(parents.flatMap(({ insert }) => insert ?? [])),
    update: own.update ?? sameOf(parents.flatMap(({ update }) => update ?? [])),
    delete: own.delete ?? sameOf(parents.flatMap((parent) => parent.delete ?? [])),
  }
}

function unionOf(selects: readonly GrantedSelect[]): GrantedSelect | undefined {
  const [first, ...others] = selects
  if (first === undefined || others.length === 0) return first
  const limits = selects.flatMap(({ limit }) => limit ?? [])
  return {
    filter: anyOf(selects.map(({ filter }) => filter)),
    columns: fieldsOf(selects, ({ columns }) => columns),
    computed: fieldsOf(selects, ({ computed }) => computed),
    // A role without a limit does not lift those of the others.
    limit: limits.length === 0 ? undefined : Math.max(...limits),
    hasAggregates: selects.some(({ hasAggregates }) => hasAggregates),
    queryRoots: new Set(selects.flatMap(({ queryRoots }) => [...queryRoots])),
    subscriptionRoots: new Set(selects.flatMap(({ subscriptionRoots }) => [...subscriptionRoots])),
  }
}

interface Field {
  readonly name: string
  readonly visible?: Condition | undefined
}

/** Each field once, seen in the rows of those who have it; what all have for all their rows is seen in all. */
function fieldsOf<T extends Field>(
  selects: readonly GrantedSelect[],
  of: (select: GrantedSelect) => readonly T[],
): readonly T[] {
  const fields = new Map(selects.flatMap(of).map((field) => [field.name, field]))
  return Array.from(fields.values(), (field): T => {
    const givers = selects.flatMap((select) => {
      const found = of(select).find(({ name }) => name === field.name)
      return found === undefined ? [] : [{ filter: select.filter, visible: found.visible }]
    })
    const isSeen = givers.length === selects.length && givers.every(({ visible }) => visible === undefined)
    const visible = anyOf(givers.map(({ filter, visible: seen }) => allOf([filter, seen ?? everyRow])))
    return { ...field, visible: isSeen || isEveryRow(visible) ? undefined : visible }
  })
}

const anyOf = (parts: readonly Condition[]): Condition =>
  parts.some(isEveryRow) ? everyRow : { kind: 'or', parts }
const allOf = (parts: readonly Condition[]): Condition => {
  const left = parts.filter((part) => !isEveryRow(part))
  return left.length === 1 && left[0] !== undefined ? left[0] : { kind: 'and', parts: left }
}

/** The one permission there is, however often it is granted; none where two differ: nobody says which is meant. */
function sameOf<T extends GrantedWrite | GrantedDelete>(grants: readonly T[]): T | undefined {
  const [first, ...others] = grants
  return first !== undefined && others.every((other) => keyOfGrant(other) === keyOfGrant(first))
    ? first
    : undefined
}

function keyOfGrant(grant: GrantedWrite | GrantedDelete): string {
  const filter = keyOfCondition(grant.filter)
  if (!('columns' in grant)) return JSON.stringify([grant.isBackendOnly, filter])
  const columns = grant.columns.map(({ name }) => name).sort()
  const presets = grant.presets.map(({ column, value }) => JSON.stringify([column.name, value])).sort()
  return JSON.stringify([grant.isBackendOnly, filter, keyOfCondition(grant.check), columns, presets])
}

/** The same for conditions that differ in the order of their parts only. */
function keyOfCondition(condition: Condition): string {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return JSON.stringify([condition.kind, [...new Set(condition.parts.map(keyOfCondition))].sort()])
    case 'not':
      return JSON.stringify(['not', keyOfCondition(condition.part)])
    case 'compare':
      return JSON.stringify(['compare', condition.column.name, condition.operator, condition.value])
    case 'compare-columns': {
      const { column, sql, other, isOfRoot } = condition
      return JSON.stringify(['columns', column.name, sql, other.name, isOfRoot])
    }
    case 'exists': {
      const { table, on, where } = condition
      return JSON.stringify(['exists', keyOf(table), on, keyOfCondition(where)])
    }
    case 'compare-computed':
      return JSON.stringify(['computed', keyOf(condition.call.function), condition.operator, condition.value])
    case 'exists-computed':
      return JSON.stringify(['rows', keyOf(condition.call.function), keyOfCondition(condition.where)])
  }
}
