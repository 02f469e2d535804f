/** At most `most` at once; the others wait in the order of asking. */
export function createLimiter(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= most) await new Promise<void>((start) => waiting.push(start))
    else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      // Its place is handed on as it is: nobody can slip in between.
      if (next === undefined) running -= 1
      else next()
    }
  }
}
