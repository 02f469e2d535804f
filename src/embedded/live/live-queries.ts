/**
 * Live queries and streams: who follows what, and when it is looked at again. Identical live queries are looked at once
 * for all who follow them.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Logger } from '../../lib/logger.ts'
import type { Database } from '../database/database.ts'
import { anySource } from '../sql/call-sql.ts'
import { changeChannel } from './change-triggers.ts'
import { createLooks } from './looks.ts'
import type { LiveSubscription, StreamSubscription, Subscription } from './subscription.ts'
import type { Timing } from './timing.ts'
import { fastPace, hasuraPace } from './timing.ts'
import { LiveWatch, StreamWatch } from './watches.ts'
import type { Follower } from './watches.ts'

export interface LiveQueries {
  /** How many subscriptions are followed now. */
  readonly count: number
  /** Gives a function that stops following. */
  follow(subscription: Subscription, follower: Follower): () => void
  stop(): Promise<void>
}

export interface LiveOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly timing: Timing
}

export async function startLiveQueries({
  database,
  clock,
  logger,
  timing,
}: LiveOptions): Promise<LiveQueries> {
  const pace = timing === 'fast' ? fastPace(clock, anySource) : hasuraPace(clock)
  const shared = new Map<string, LiveWatch>()
  const lookAt = createLooks(database, clock)
  const unlisten =
    timing === 'fast'
      ? await database.listen(changeChannel, (table) => pace.changed(table))
      : () => Promise.resolve()

  const followLive = (subscription: LiveSubscription, follower: Follower): (() => void) => {
    const { sql, parameters } = subscription.look
    const key = JSON.stringify([sql, parameters, subscription.message(['0'])])
    let watch = shared.get(key)
    if (watch === undefined) {
      watch = new LiveWatch(subscription, lookAt)
      shared.set(key, watch)
      watch.add(follower)
      pace.add(watch)
    } else {
      watch.add(follower)
      if (timing === 'fast') watch.wake()
    }
    const followed = watch
    return () => {
      if (followed.remove(follower) > 0) return
      pace.remove(followed)
      shared.delete(key)
    }
  }
  const followStream = (subscription: StreamSubscription, follower: Follower): (() => void) => {
    const watch = new StreamWatch(subscription, follower, lookAt, timing === 'fast')
    pace.add(watch)
    return () => {
      watch.end()
      pace.remove(watch)
    }
  }
  let count = 0
  return {
    get count() {
      return count
    },
    follow: (subscription, follower) => {
      const unfollow =
        subscription.kind === 'live'
          ? followLive(subscription, follower)
          : followStream(subscription, follower)
      count += 1
      let isFollowed = true
      return () => {
        if (!isFollowed) return
        isFollowed = false
        count -= 1
        unfollow()
      }
    },
    stop: async () => {
      pace.stop()
      shared.clear()
      await unlisten().catch((error: unknown) => logger.debug({ err: error }, 'not unlistened'))
    },
  }
}
