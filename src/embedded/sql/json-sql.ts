/** Rows as JSON, made by PostgreSQL: its text goes to the client as it is. */
import { quoteName, quoteText } from '../database/database.ts'

/** An answer key and the expression for it. */
export type Output = readonly [key: string, sql: string]

/** Longer names of columns are cut by PostgreSQL. */
const longestName = 63

/** One JSON object per row of `tail` (`from … where …`); `distinct` may precede the columns. */
function rows(outputs: readonly Output[], tail: string, distinct = ''): string {
  // `distinct` wants a column, and there is none when all were skipped.
  if (outputs.length === 0 || outputs.some(([key]) => Buffer.byteLength(key) > longestName)) {
    const pairs = outputs.flatMap(([key, sql]) => [quoteText(key), sql])
    return `select ${distinct}json_build_object(${pairs.join(', ')}) as o ${tail}`
  }
  const columns = outputs.map(([key, sql]) => `${sql} as ${quoteName(key)}`)
  return `select row_to_json(x) as o from (select ${distinct}${columns.join(', ')} ${tail}) as x`
}

export const jsonList = (outputs: readonly Output[], tail: string, distinct?: string): string =>
  `(select coalesce(json_agg(l.o), '[]') from (${rows(outputs, tail, distinct)}) as l)`

/** Null when `tail` gives no row. */
export const jsonObject = (outputs: readonly Output[], tail = ''): string => `(${rows(outputs, tail)})`
