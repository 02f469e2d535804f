/**
 * The first `count` items in the given order, without sorting them all: a region of 100,000 empty hosts may have to
 * give up three. The order must be total.
 */
export function firstInOrder<T>(
  items: readonly T[],
  count: number,
  compare: (one: T, other: T) => number,
): readonly T[] {
  if (count <= 0) return []
  const kept: T[] = []
  const mostKept = Math.max(64, count * 2)
  let last: T | undefined
  for (const item of items) {
    if (last !== undefined && compare(last, item) < 0) continue
    kept.push(item)
    if (kept.length < mostKept) continue
    kept.sort(compare)
    kept.length = count
    last = kept.at(-1)
  }
  return kept.sort(compare).slice(0, count)
}
