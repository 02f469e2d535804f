/**
 * What one role may ask for: the catalog under the metadata's names. Types and fields of the GraphQL schema, and the
 * SQL for them, are both made from this; what is not in it does not exist for the role.
 */
import type { Column, SqlFunction, Table } from '../catalog/catalog.ts'

export interface ApiColumn {
  /** The field's name. */
  readonly name: string
  readonly column: Column
}

export interface Relationship {
  readonly name: string
  readonly kind: 'object' | 'array'
  readonly target: ApiTable
  /** Columns here and there that must be equal. */
  readonly on: readonly { readonly here: string; readonly there: string }[]
  /** Whether an object may be missing. */
  readonly isNullable: boolean
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

export interface ApiTable {
  /** The name of its type, from which the names of all others are made. */
  readonly name: string
  readonly table: Table
  readonly columns: ReadonlyMap<string, ApiColumn>
  /** Filled in once every table is there. */
  readonly relationships: ReadonlyMap<string, Relationship>
  readonly primaryKey: readonly ApiColumn[]
  readonly rootFields: RootFieldNames
}

export interface ApiFunction {
  readonly name: string
  readonly function: SqlFunction
  readonly exposedAs: 'query' | 'mutation'
  readonly returns: ApiTable
  readonly arguments: readonly ApiArgument[]
}

export interface ApiArgument {
  readonly name: string
  /** Undefined where SQL knows it by its place only. */
  readonly sqlName: string | undefined
  readonly type: Column['type']
  readonly hasDefault: boolean
}

export interface Api {
  readonly tables: readonly ApiTable[]
  readonly functions: readonly ApiFunction[]
}
