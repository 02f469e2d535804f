/**
 * Shared and exclusive turns at one session: any number of single statements at once, or one transaction alone, in the
 * order of asking, so that neither starves the other.
 */
export interface Turns {
  shared<T>(work: () => Promise<T>): Promise<T>
  exclusive<T>(work: () => Promise<T>): Promise<T>
}

export function createTurns(): Turns {
  const waiting: { readonly isExclusive: boolean; readonly start: () => void }[] = []
  let running = 0
  let isExclusive = false

  const next = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      if (isExclusive || (first.isExclusive && running > 0)) return
      waiting.shift()
      running += 1
      isExclusive = first.isExclusive
      first.start()
    }
  }
  const take = async <T>(wantsExclusive: boolean, work: () => Promise<T>): Promise<T> => {
    await new Promise<void>((start) => {
      waiting.push({ isExclusive: wantsExclusive, start })
      next()
    })
    try {
      return await work()
    } finally {
      running -= 1
      isExclusive = false
      next()
    }
  }
  return {
    shared: (work) => take(false, work),
    exclusive: (work) => take(true, work),
  }
}
