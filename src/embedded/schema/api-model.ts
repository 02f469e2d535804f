/**
 * What one role may ask for: the catalog under the metadata's names. Types and fields of the GraphQL schema, and the
 * SQL for them, are both made from this; what is not in it does not exist for the role.
 */
import type { Column, PgType, Table } from '../catalog/catalog.ts'
import type { Condition, Join, Preset } from './condition.ts'
import type { FunctionCall } from './function-call.ts'

export interface ApiColumn {
  /** The field's name. */
  readonly name: string
  readonly column: Column
  /** For a role made of several: the rows in which it may be seen; in others it is null. Undefined for all rows. */
  readonly visible?: Condition | undefined
}

/** A field that a function computes of a row. */
export interface ComputedField extends FunctionCall {
  readonly name: string
  readonly comment: string
  readonly gives: ComputedScalar | { readonly kind: 'rows'; readonly target: ApiTable }
  /** As of a column. */
  readonly visible?: Condition | undefined
}
export interface ComputedScalar {
  readonly kind: 'scalar'
  readonly type: PgType
}
export type ScalarField = ComputedField & { readonly gives: ComputedScalar }

export const isScalarField = (field: ComputedField): field is ScalarField => field.gives.kind === 'scalar'

export interface Relationship {
  readonly name: string
  readonly kind: 'object' | 'array'
  readonly target: ApiTable
  /** Columns here and there that must be equal. */
  readonly on: Join
  /** Whether an object may be missing. */
  readonly isNullable: boolean
  /** In a nested insert: whether the row there is written after the one here, to which it then refers. */
  readonly insertsAfter: boolean
}

export interface RootFieldNames {
  readonly select: string
  readonly select_by_pk: string
  readonly select_aggregate: string
  readonly select_stream: string
  readonly insert: string
  readonly insert_one: string
  readonly update: string
  readonly update_by_pk: string
  readonly update_many: string
  readonly delete: string
  readonly delete_by_pk: string
}

export interface SelectAccess {
  /** Rows for which it does not hold do not exist for the role. */
  readonly filter: Condition
  /** The most rows of one list; undefined for any number. */
  readonly limit: number | undefined
  readonly hasAggregates: boolean
  /** `select`, `select_by_pk`, `select_aggregate`, `select_stream`: which root fields there are. */
  readonly queryRoots: ReadonlySet<string>
  readonly subscriptionRoots: ReadonlySet<string>
}
export interface InsertAccess {
  readonly columns: readonly ApiColumn[]
  /** Set by the metadata, whatever is asked. */
  readonly presets: readonly Preset[]
  /** What every inserted row must fulfil. */
  readonly check: Condition
}
export interface UpdateAccess extends InsertAccess {
  /** The rows that may be updated, as they are before. */
  readonly filter: Condition
}

/** What a role may do with a table's rows; what is undefined it may not do. */
export interface TableAccess {
  readonly select: SelectAccess | undefined
  readonly insert: InsertAccess | undefined
  readonly update: UpdateAccess | undefined
  readonly delete: { readonly filter: Condition } | undefined
}

export interface ApiTable {
  /** The name of its type, from which the names of all others are made. */
  readonly name: string
  readonly table: Table
  /** Those that the role may read. */
  readonly columns: ReadonlyMap<string, ApiColumn>
  /** Filled in once every table is there. */
  readonly relationships: ReadonlyMap<string, Relationship>
  /** Likewise. */
  readonly computed: ReadonlyMap<string, ComputedField>
  /** Empty where there is none, or the role may not read all of it. */
  readonly primaryKey: readonly ApiColumn[]
  readonly rootFields: RootFieldNames
  readonly access: TableAccess
}

export interface ApiFunction extends FunctionCall {
  readonly name: string
  readonly exposedAs: 'query' | 'mutation'
  readonly returns: ApiTable
}

export interface Api {
  readonly tables: readonly ApiTable[]
  readonly functions: readonly ApiFunction[]
}
