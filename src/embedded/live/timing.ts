/**
 * When a watch looks. `fast`: when the database says that a table it reads has changed. `hasura`: as the real engine
 * does, which polls: what came and went between two polls was never there, and of a stream each poll gives one batch.
 */
import type { Clock } from '../../lib/clock.ts'

/** Something that is looked at again and again. */
export interface Watch {
  readonly sources: ReadonlySet<string>
  /** The statement, the same for other values. */
  readonly sql: string
  /** Look soon; a look under way does not count, since it may have read before the change. */
  wake(): void
}

export type Timing = 'fast' | 'hasura'

export interface Pace {
  add(watch: Watch): void
  remove(watch: Watch): void
  /** A table's rows have changed; undefined: any table's may have. */
  changed(table: string | undefined): void
  stop(): void
}

const pollMs = 1_000
/** Looks without cause at one time: with more watches than this, they come round in turn. */
const mostLooks = 50

/** A slow look now and then finds what no notification told of, and tells followers that the database is away. */
export function fastPace(clock: Clock, anySource: string): Pace {
  const watches = new Set<Watch>()
  let cancel = (): void => undefined
  const arm = (): void => {
    cancel = clock.after(pollMs, () => {
      let looks = 0
      for (const watch of watches) {
        if (looks++ >= mostLooks) break
        // To the end of the row: a set keeps the order of adding.
        watches.delete(watch)
        watches.add(watch)
        watch.wake()
      }
      arm()
    })
  }
  arm()
  return {
    add: (watch) => {
      watches.add(watch)
      watch.wake()
    },
    remove: (watch) => watches.delete(watch),
    changed: (table) => {
      for (const watch of watches) {
        if (table === undefined || watch.sources.has(table) || watch.sources.has(anySource)) watch.wake()
      }
    },
    stop: () => {
      cancel()
      watches.clear()
    },
  }
}

interface Poller {
  readonly watches: Set<Watch>
  cancel: () => void
}

/** One poller for each statement, whatever its values: its first watch is served at once, later ones at its next poll. */
export function hasuraPace(clock: Clock): Pace {
  const pollers = new Map<string, Poller>()
  const arm = (poller: Poller): void => {
    poller.cancel = clock.after(pollMs, () => {
      for (const watch of poller.watches) watch.wake()
      arm(poller)
    })
  }
  return {
    add: (watch) => {
      const known = pollers.get(watch.sql)
      if (known !== undefined) {
        known.watches.add(watch)
        return
      }
      const poller: Poller = { watches: new Set([watch]), cancel: () => undefined }
      pollers.set(watch.sql, poller)
      watch.wake()
      arm(poller)
    },
    remove: (watch) => {
      const poller = pollers.get(watch.sql)
      poller?.watches.delete(watch)
      if (poller === undefined || poller.watches.size > 0) return
      poller.cancel()
      pollers.delete(watch.sql)
    },
    changed: () => undefined,
    stop: () => {
      for (const { cancel } of pollers.values()) cancel()
      pollers.clear()
    },
  }
}
