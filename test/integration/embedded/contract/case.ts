/** One request and its answer. Files of such stand in `cases/`, by subject. */
export interface ContractCase {
  /** What it shows. */
  readonly shows: string
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
  readonly operationName?: string
  /** The answer's `data`, when it is not refused. */
  readonly data?: unknown
  /** Texts that the answer holds letter by letter, where parsing would lose what matters. */
  readonly holds?: readonly string[]
  readonly refusal?: { readonly code: string; readonly path: string; readonly message?: string | RegExp }
  /** Why a real engine need not answer so; such a case is skipped there. */
  readonly onlyHere?: string
  /** Section of the facts on Hasura that it is taken from. */
  readonly fact?: string
}

type More = Pick<ContractCase, 'variables' | 'operationName' | 'fact' | 'holds' | 'onlyHere'>

export const answers = (shows: string, query: string, data: unknown, more: More = {}): ContractCase => ({
  shows,
  query,
  data,
  ...more,
})

export const refuses = (
  shows: string,
  query: string,
  code: string,
  path: string,
  more: More & { readonly message?: string | RegExp } = {},
): ContractCase => {
  const { message, ...rest } = more
  return { shows, query, refusal: { code, path, ...(message === undefined ? {} : { message }) }, ...rest }
}
