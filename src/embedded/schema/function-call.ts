/** A call of a tracked function, or of one that computes a field: what each argument gets its value from. */
import type { PgType, SqlFunction } from '../catalog/catalog.ts'

export interface ApiArgument {
  readonly name: string
  /** Undefined where SQL knows it by its place only. */
  readonly sqlName: string | undefined
  readonly type: PgType
  readonly hasDefault: boolean
  /** A client; or the endpoint: who asks, as JSON, or the row that a field is computed of. */
  readonly source: 'client' | 'session' | 'row'
}

export interface FunctionCall {
  readonly function: SqlFunction
  readonly arguments: readonly ApiArgument[]
}

export interface OwnArguments {
  /** By name; undefined for none. */
  readonly session?: string | null | undefined
  /** By place; undefined for none. */
  readonly row?: number | undefined
}

/** Arguments without a name are called `arg_1`, `arg_2` and so on: of those that clients give, the first, the second… */
export function functionCall(of: SqlFunction, { session, row }: OwnArguments): FunctionCall {
  let nameless = 0
  return {
    function: of,
    arguments: of.arguments.map(({ name, type, hasDefault }, place): ApiArgument => {
      const isSession = name !== '' && name === session
      const source = place === row ? 'row' : isSession ? 'session' : 'client'
      if (name === '' && source === 'client') nameless += 1
      return {
        name: name === '' ? `arg_${nameless}` : name,
        sqlName: name === '' ? undefined : name,
        type,
        hasDefault,
        source,
      }
    }),
  }
}

export const clientArguments = (call: FunctionCall): readonly ApiArgument[] =>
  call.arguments.filter(({ source }) => source === 'client')

/** Whether filters and orders can name what it gives: there nobody gives arguments. */
export const isPlain = (call: FunctionCall): boolean => clientArguments(call).length === 0
