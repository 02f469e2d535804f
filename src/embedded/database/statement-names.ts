/**
 * Names for statements that are worth preparing on the server: those seen before. A prepared statement lives as long
 * as its connection, so their number is bounded: texts beyond it are sent unprepared.
 */
const longestPrepared = 20_000

export function createStatementNames(most = 300): (sql: string) => string | undefined {
  const names = new Map<string, string>()
  const seenOnce = new Set<string>()
  return (sql) => {
    const known = names.get(sql)
    if (known !== undefined) return known
    if (names.size >= most || sql.length > longestPrepared) return undefined
    if (!seenOnce.delete(sql)) {
      if (seenOnce.size >= most) seenOnce.clear()
      seenOnce.add(sql)
      return undefined
    }
    const name = `muster_${names.size + 1}`
    names.set(sql, name)
    return name
  }
}
