/** What the database holds, as far as the project tracks it: plain data, read once at start. */

export interface PgType {
  /** As pg_type has it: `int4`, `timestamptz`, `mood`. Domains are what they are made of. */
  readonly name: string
  /** As SQL writes it, qualified where it must be: `integer`, `fleet.mood`. */
  readonly sql: string
  readonly kind: 'base' | 'enum' | 'composite' | 'range' | 'other'
  /** For arrays: the type of their elements; `name` and `sql` are then those of the array. */
  readonly element?: PgType
  /** For a column that refers to an enum table: what it may hold. */
  readonly members?: EnumMembers
}

export interface EnumValue {
  readonly name: string
  readonly comment?: string
}
export interface EnumMembers {
  /** Of the GraphQL enum: `colours_enum`. */
  readonly typeName: string
  readonly values: readonly EnumValue[]
}

export interface Column {
  readonly name: string
  readonly type: PgType
  readonly isNullable: boolean
  readonly hasDefault: boolean
  /** Computed by the database: never written. */
  readonly isGenerated: boolean
  readonly comment?: string
}

export interface ForeignKey {
  readonly columns: readonly string[]
  readonly foreignSchema: string
  readonly foreignTable: string
  readonly foreignColumns: readonly string[]
}

export interface Table {
  readonly schema: string
  readonly name: string
  readonly isView: boolean
  readonly columns: readonly Column[]
  /** Empty where there is none. */
  readonly primaryKey: readonly string[]
  /** Primary key and unique constraints: what `on_conflict` may name. */
  readonly uniqueConstraints: readonly string[]
  readonly foreignKeys: readonly ForeignKey[]
  readonly isInsertable: boolean
  readonly isUpdatable: boolean
  readonly isDeletable: boolean
  /** The tables whose rows it shows, as `schema.name`: itself, or those under a view. */
  readonly sources: readonly string[]
  readonly comment?: string
}

export interface FunctionArgument {
  /** Empty where it has none. */
  readonly name: string
  readonly type: PgType
  readonly hasDefault: boolean
  /** The table whose row type it has. */
  readonly relation?: RelationName
}

export interface RelationName {
  readonly schema: string
  readonly name: string
}

export interface SqlFunction {
  readonly schema: string
  readonly name: string
  readonly arguments: readonly FunctionArgument[]
  readonly returnsSet: boolean
  /** The table whose row type it returns. */
  readonly returns: RelationName | undefined
  readonly returnType: PgType
  readonly isVolatile: boolean
  readonly comment?: string
}

export interface Catalog {
  readonly tables: readonly Table[]
  readonly functions: readonly SqlFunction[]
  /** The rows of the tables that are tracked as enums, by `schema.name`. */
  readonly enums: ReadonlyMap<string, readonly EnumValue[]>
}

/** `schema.name`, for maps and for notifications; never for SQL. */
export const keyOf = (relation: RelationName): string => `${relation.schema}.${relation.name}`
