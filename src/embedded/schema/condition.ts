/**
 * What a permission says of a row, as plain data: the metadata's boolean expression with every name looked up. Values
 * are parameters of the statement or come from the session when somebody asks.
 */
import type { Column, PgType, Table } from '../catalog/catalog.ts'
import type { FunctionCall } from './function-call.ts'

export type GivenValue =
  | { readonly from: 'metadata'; readonly value: unknown }
  /** In lower case: `x-hasura-user-id`. */
  | { readonly from: 'session'; readonly variable: string }
  | { readonly from: 'list'; readonly items: readonly GivenValue[] }

/** Columns here and there that must be equal. */
export type Join = readonly { readonly here: string; readonly there: string }[]

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Condition[] }
  | { readonly kind: 'not'; readonly part: Condition }
  | {
      readonly kind: 'compare'
      readonly column: Column
      readonly operator: string
      readonly value: GivenValue
    }
  /** With a column of the same row, or of the row that the whole condition is about. */
  | {
      readonly kind: 'compare-columns'
      readonly column: Column
      readonly sql: string
      readonly other: Column
      readonly isOfRoot: boolean
    }
  /** Some row of `table` for which `where` holds, and that is joined to this one where there is a join. */
  | { readonly kind: 'exists'; readonly table: Table; readonly on: Join; readonly where: Condition }
  /** The value of a field that `call` computes of a row of `table`. */
  | {
      readonly kind: 'compare-computed'
      readonly call: FunctionCall
      readonly table: Table
      readonly type: PgType
      readonly operator: string
      readonly value: GivenValue
    }
  /** Some row of those that `call` computes of a row of `table`. */
  | {
      readonly kind: 'exists-computed'
      readonly call: FunctionCall
      readonly table: Table
      readonly where: Condition
    }

export interface Preset {
  readonly column: Column
  readonly value: GivenValue
}

export const everyRow: Condition = { kind: 'and', parts: [] }
export const noRow: Condition = { kind: 'or', parts: [] }
export const isEveryRow = (condition: Condition): boolean =>
  condition.kind === 'and' && condition.parts.every(isEveryRow)

export const isSessionVariable = (value: unknown): value is string =>
  typeof value === 'string' && /^x-hasura-/i.test(value)

/** A value as the metadata writes it. */
export function givenValue(value: unknown): GivenValue {
  if (isSessionVariable(value)) return { from: 'session', variable: value.toLowerCase() }
  if (Array.isArray(value) && value.some(isSessionVariable)) {
    return { from: 'list', items: value.map(givenValue) }
  }
  return { from: 'metadata', value }
}

/** The type of what a list of such holds; of a plain type, itself. */
export const elementOf = (type: PgType): PgType => type.element ?? type
