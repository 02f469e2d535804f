/** What the metadata grants one role on one table, with every name looked up. */
import type { TrackedTable } from '../project/metadata.ts'
import type { ColumnChoice } from '../project/permissions.ts'
import type { ApiColumn, ApiTable, ComputedField, SelectAccess, UpdateAccess } from './api-model.ts'
import { allRoots } from './build-api.ts'
import type { Condition, Preset } from './condition.ts'
import { givenValue } from './condition.ts'
import type { ConditionScope } from './parse-condition.ts'
import { parseCondition } from './parse-condition.ts'

export interface GrantedSelect extends SelectAccess {
  readonly columns: readonly ApiColumn[]
  /** Those that give a scalar. */
  readonly computed: readonly ComputedField[]
}
interface ForBackends {
  readonly isBackendOnly: boolean
}
export interface GrantedWrite extends UpdateAccess, ForBackends {}
export interface GrantedDelete extends ForBackends {
  readonly filter: Condition
}

export interface Granted {
  readonly select?: GrantedSelect | undefined
  readonly insert?: GrantedWrite | undefined
  readonly update?: GrantedWrite | undefined
  readonly delete?: GrantedDelete | undefined
}

/** @param scopeOf where the faults of a kind of permission are told */
export function grantedTo(
  role: string,
  tracked: TrackedTable,
  table: ApiTable,
  scopeOf: (kind: string) => ConditionScope,
): Granted {
  const of = <T>(permissions: readonly { role: string; permission: T }[]): T | undefined =>
    permissions.find((each) => each.role === role)?.permission
  const select = of(tracked.select_permissions)
  const insert = of(tracked.insert_permissions)
  const update = of(tracked.update_permissions)
  const remove = of(tracked.delete_permissions)
  const inserting =
    insert === undefined
      ? undefined
      : writing(scopeOf('insert'), table, table.access.insert?.columns ?? [], insert)
  const updating =
    update === undefined
      ? undefined
      : writing(scopeOf('update'), table, table.access.update?.columns ?? [], update)
  return {
    select: select === undefined ? undefined : selecting(scopeOf('select'), table, select),
    // An input without fields is none.
    insert: inserting !== undefined && inserting.columns.length > 0 ? inserting : undefined,
    update:
      updating !== undefined && updating.columns.length + updating.presets.length > 0 ? updating : undefined,
    delete:
      remove === undefined || table.access.delete === undefined
        ? undefined
        : {
            filter: parseCondition(scopeOf('delete'), table, remove.filter),
            isBackendOnly: remove.backend_only === true,
          },
  }
}

function selecting(
  scope: ConditionScope,
  table: ApiTable,
  permission: TrackedTable['select_permissions'][number]['permission'],
): GrantedSelect | undefined {
  noteUnknown(scope, table, permission.columns)
  const scalars = [...table.computed.values()].filter(({ gives }) => gives.kind === 'scalar')
  const named = permission.computed_fields ?? []
  for (const name of named) {
    if (!scalars.some((field) => field.name === name)) {
      scope.fault(`there is no computed field '${name}' that gives a scalar`)
    }
  }
  const filter = parseCondition(scope, table, permission.filter)
  const columns = chosen([...table.columns.values()], permission.columns)
  const computed = scalars.filter(({ name }) => named.includes(name))
  if (columns.length + computed.length === 0) return undefined
  return {
    columns,
    computed,
    filter,
    limit: permission.limit ?? undefined,
    hasAggregates: permission.allow_aggregations === true,
    queryRoots: new Set(permission.query_root_fields ?? allRoots),
    subscriptionRoots: new Set(permission.subscription_root_fields ?? allRoots),
  }
}

function writing(
  scope: ConditionScope,
  table: ApiTable,
  writable: readonly ApiColumn[],
  permission: {
    readonly columns: ColumnChoice
    readonly filter?: unknown
    readonly check?: unknown
    readonly set?: Readonly<Record<string, unknown>> | null | undefined
    readonly backend_only?: boolean | null | undefined
  },
): GrantedWrite {
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
    isBackendOnly: permission.backend_only === true,
  }
}

const chosen = (columns: readonly ApiColumn[], choice: ColumnChoice): readonly ApiColumn[] =>
  choice === '*' ? columns : columns.filter(({ column }) => choice.includes(column.name))

function noteUnknown({ fault }: ConditionScope, { table }: ApiTable, choice: ColumnChoice): void {
  for (const name of choice === '*' ? [] : choice) {
    if (table.columns.every((column) => column.name !== name)) fault(`there is no column '${name}'`)
  }
}
