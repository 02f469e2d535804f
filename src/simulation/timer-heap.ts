export interface Timer {
  readonly at: number
  /** Of two for the same moment, the one that was armed first comes first. */
  readonly order: number
  /** undefined: it was cancelled. */
  callback: (() => void) | undefined
}

/** A binary heap of timers: the earliest is at hand, however many wait. */
export class TimerHeap {
  readonly #heap: Timer[] = []
  #armed = 0

  add(at: number, callback: () => void): Timer {
    const heap = this.#heap
    const timer: Timer = { at, order: (this.#armed += 1), callback }
    let place = heap.push(timer) - 1
    while (place > 0) {
      const above = (place - 1) >> 1
      const other = heap[above]
      if (other === undefined || isEarlier(other, timer)) break
      heap[place] = other
      place = above
    }
    heap[place] = timer
    return timer
  }

  /** The earliest timer, when its moment is not after `until`. */
  takeDue(until: number): Timer | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.at > until) return undefined
    const last = heap.pop()
    if (last !== undefined && last !== first) this.#sink(last)
    return first
  }

  #sink(timer: Timer): void {
    const heap = this.#heap
    let place = 0
    for (;;) {
      const left = 2 * place + 1
      const [one, other] = [heap[left], heap[left + 1]]
      if (one === undefined) break
      const isRight = other !== undefined && isEarlier(other, one)
      const below = isRight ? other : one
      if (isEarlier(timer, below)) break
      heap[place] = below
      place = isRight ? left + 1 : left
    }
    heap[place] = timer
  }
}

function isEarlier(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
