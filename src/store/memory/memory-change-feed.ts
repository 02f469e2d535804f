import type { ChangeFeed } from '../change-feed.ts'
import type { MemoryDatabase } from './memory-database.ts'

/** The outbox of a database in memory: it pushes each transaction's changes as one batch, and never loses any. */
export function createMemoryChangeFeed(db: MemoryDatabase): ChangeFeed {
  return {
    latest: () => db.transact(() => db.latestChange),
    read: (sequences) => db.transact(() => db.changesOf(sequences)),
    follow: (cursor, sink, signal) =>
      new Promise((resolve) => {
        sink.connected()
        const missed = db.changesAfter(cursor())
        if (missed.length > 0) sink.batch(missed, false)
        const end = db.onChanges((changes) => sink.batch(changes, false))
        signal.addEventListener('abort', () => {
          end()
          resolve()
        })
      }),
  }
}
