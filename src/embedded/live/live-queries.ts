/**
 * Live queries and streams, run again when a table that they read has changed: at once when idle, once more when the
 * change came during a run. Identical live queries run once for all who follow them. A slow look now and then finds
 * what no notification told of, and is what tells followers that the database is away, as Hasura does at each poll.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Logger } from '../../lib/logger.ts'
import type { Database } from '../database/database.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import { anySource } from '../sql/function-sql.ts'
import { changeChannel } from './change-triggers.ts'
import { createLimiter } from './limiter.ts'
import type { LiveSubscription, StreamSubscription, Subscription } from './subscription.ts'
import { LiveWatch, StreamWatch } from './watches.ts'
import type { Follower, Watch } from './watches.ts'

export interface LiveQueries {
  /** Gives a function that stops following. */
  follow(subscription: Subscription, follower: Follower): () => void
  stop(): Promise<void>
}

const lookMs = 1_000
/** Looks without cause at one time: with more followers than this, they come round in turn. */
const mostLooks = 50

export async function startLiveQueries(
  database: Database,
  clock: Clock,
  logger: Logger,
): Promise<LiveQueries> {
  const watches = new Set<Watch>()
  const shared = new Map<string, LiveWatch>()
  // Most of the pool is left to requests.
  const limit = createLimiter(Math.max(1, Math.min(4, Math.floor(database.concurrency / 2))))
  const run = (sql: string, parameters: LiveSubscription['look']['parameters']) =>
    limit(async () => {
      try {
        return (await database.query(sql, parameters))[0]
      } catch (error) {
        throw hasuraErrorOf(error)
      }
    })

  const unlisten = await database.listen(changeChannel, (table) => {
    for (const watch of watches) {
      if (table === undefined || watch.sources.has(table) || watch.sources.has(anySource)) watch.wake()
    }
  })

  let cancel = (): void => undefined
  const arm = (): void => {
    cancel = clock.after(lookMs, () => {
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

  const followLive = (subscription: LiveSubscription, follower: Follower): (() => void) => {
    const { sql, parameters } = subscription.look
    const key = JSON.stringify([sql, parameters, subscription.message(['0'])])
    let watch = shared.get(key)
    if (watch === undefined) {
      watch = new LiveWatch(subscription, () => run(sql, parameters))
      shared.set(key, watch)
      watches.add(watch)
    }
    const followed = watch
    followed.add(follower)
    return () => {
      if (followed.remove(follower) > 0) return
      watches.delete(followed)
      shared.delete(key)
    }
  }
  const followStream = (subscription: StreamSubscription, follower: Follower): (() => void) => {
    const watch = new StreamWatch(subscription, follower, ({ sql, parameters }) => run(sql, parameters))
    watches.add(watch)
    watch.wake()
    return () => {
      watch.end()
      watches.delete(watch)
    }
  }
  return {
    follow: (subscription, follower) =>
      subscription.kind === 'live'
        ? followLive(subscription, follower)
        : followStream(subscription, follower),
    stop: async () => {
      cancel()
      watches.clear()
      shared.clear()
      await unlisten().catch((error: unknown) => logger.debug({ err: error }, 'not unlistened'))
    },
  }
}
