import { quoteName } from '../database/database.ts'

/** What is always true says nothing: `true` when nothing is left. */
export const and = (parts: readonly string[]): string =>
  joined(
    parts.filter((part) => part !== 'true'),
    ' and ',
    'true',
  )
export const or = (parts: readonly string[]): string => joined(parts, ' or ', 'false')

function joined(parts: readonly string[], word: string, none: string): string {
  if (parts.length <= 1) return parts[0] ?? none
  return `(${parts.join(word)})`
}

/** Rows of a relationship's two ends that belong together. */
export function joinSql(
  { on }: { readonly on: readonly { readonly here: string; readonly there: string }[] },
  here: string,
  there: string,
): string {
  return and(on.map((pair) => `(${there}.${quoteName(pair.there)} = ${here}.${quoteName(pair.here)})`))
}
