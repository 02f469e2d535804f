/**
 * `fleet_changes_stream` over graphql-ws. The client library's own retries would resume at an old cursor and insist
 * with a wrong secret, so each connection is one try of our own loop. A pushed error counts as a gap: a real
 * engine pushes one at every poll while its database is away.
 */
import { createClient } from 'graphql-ws'
import { z } from 'zod'

import { isAborted } from '../lib/aborted.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Change, ChangeFeed, ChangeSink } from '../store/change-feed.ts'
import { parse } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents, streamBatchSize } from './documents.ts'
import { endOfSocket } from './engine-errors.ts'

/** From dialling to the engine's acknowledgement; nothing else would ever end a connection that nobody answers. */
const connectWithinMs = 5_000
const pongTimeoutMs = 5_000
/** Less would be counted as another failure: an engine whose database is away takes connections and then ends them. */
const stableAfterMs = 5_000
/** With a secret that was refused, one look now and then: somebody may mend it at the other end. */
const deniedRetryMs = 30_000
const reconnectBackoff = { firstMs: 50, longestMs: 1_000, jitter: 0.3 }

// bigint is a number or a string, as the engine is set.
const changeRow = z
  .object({
    sequence: z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]),
    table_name: z.string(),
    row_id: z.string(),
    region_id: z.string(),
  })
  .transform((row): Change => ({
    sequence: row.sequence,
    table: row.table_name,
    rowId: row.row_id,
    regionId: row.region_id,
  }))
const changes = z.object({ changes: z.array(changeRow) })

export function createChangeFeed(client: HasuraClient, clock: Clock): ChangeFeed {
  return {
    latest: async () => {
      const { changes: rows } = parse(changes, await client.request(documents.latestChange), 'fleet_changes')
      return rows[0]?.sequence ?? 0
    },
    read: async (sequences) => {
      if (sequences.length === 0) return []
      return parse(changes, await client.request(documents.changesByKey, { sequences }), 'fleet_changes')
        .changes
    },
    follow: async (cursor, sink, signal) => {
      for (let failures = 0; !signal.aborted; failures += 1) {
        const startedAt = clock.now()
        const { why, isDenied } = await followOnce(client, clock, cursor(), sink, signal)
        if (isAborted(signal)) return
        sink.gap(why)
        if (clock.now() - startedAt >= stableAfterMs) failures = 0
        const waitMs = isDenied ? deniedRetryMs : backoffMs(failures + 1, reconnectBackoff)
        await clock.sleep(waitMs, signal).catch(() => undefined)
      }
    },
  }
}

/** One connection, until it breaks. */
function followOnce(
  client: HasuraClient,
  clock: Clock,
  after: number,
  sink: ChangeSink,
  signal: AbortSignal,
): Promise<{ readonly why: string; readonly isDenied: boolean }> {
  return new Promise((resolve) => {
    let pongTimer: NodeJS.Timeout | undefined
    const socket = createClient({
      url: client.url.replace(/^http/, 'ws'),
      connectionParams: { headers: { 'x-hasura-admin-secret': client.adminSecret } },
      retryAttempts: 0,
      keepAlive: 10_000,
      on: {
        ping: (received) => {
          if (!received) pongTimer = setTimeout(() => socket.terminate(), pongTimeoutMs)
        },
        pong: (received) => {
          if (received) clearTimeout(pongTimer)
        },
      },
    })
    let isOver = false
    let wasAcknowledged = false
    const end = (why: string, isDenied = false) => {
      isOver = true
      cancelPatience()
      clearTimeout(pongTimer)
      signal.removeEventListener('abort', onAbort)
      void Promise.resolve(socket.dispose()).catch(() => undefined)
      resolve({ why, isDenied })
    }
    const fail = (error: unknown) => {
      const { why, isDenied } = endOfSocket(error, wasAcknowledged)
      end(why, isDenied)
    }
    const onAbort = () => end('stopped')
    signal.addEventListener('abort', onAbort, { once: true })
    const cancelPatience = clock.after(connectWithinMs, () => {
      end(`no connection within ${connectWithinMs / 1000} s`)
      // What is still connecting is not closed by a polite end.
      socket.terminate()
    })
    socket.on('connected', () => {
      cancelPatience()
      wasAcknowledged = true
      if (!isOver) sink.connected()
    })
    socket.subscribe(
      { query: documents.changes, variables: { after } },
      {
        next: (result) => {
          if (result.errors !== undefined) {
            fail(result.errors)
            return
          }
          const parsed = changes.safeParse(result.data)
          if (!parsed.success) {
            end('fleet_changes_stream: rows of another shape')
            return
          }
          sink.batch(parsed.data.changes, parsed.data.changes.length >= streamBatchSize)
        },
        error: fail,
        complete: () => end('the engine ended the stream'),
      },
    )
  })
}
