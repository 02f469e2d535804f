/**
 * What a Hasura calls when a row changes (event triggers) or a time has come (cron triggers). A webhook is a hint like
 * any other: it says where to look, and nothing in it is believed. So deliveries may be late, doubled, lost or out of
 * order, and what it says of a row's content is not even read.
 *
 * Only the active daemon that hears its database takes a hint; every other answers 503, upon which Hasura delivers it
 * again: behind one URL for two daemons it then reaches the one that can act.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'
import type { RowHint } from '../../store/change-feed.ts'
import { isMirrored } from '../../store/change-feed.ts'
import type { ApiContext } from '../context.ts'
import { RecentIds } from '../recent-ids.ts'
import { checked, plainText } from '../validation.ts'

/**
 * Hasura obeys Retry-After beyond its last attempt and logs every attempt in the user's database: seconds, so that an
 * hour's outage does not fill it. What is late by then has been read anew from the rows.
 */
const retryAfterS = 10
const mostRecentIds = 10_000
const longestId = 512

const eventId = plainText(longestId)
const row = z.record(z.string(), z.unknown()).nullish()
const rowId = z.object({ id: plainText(longestId) })
// Not strict: other versions of the engine say more.
const event = z
  .object({
    id: eventId,
    table: z.object({ schema: z.string(), name: z.string() }),
    event: z.object({
      op: z.enum(['INSERT', 'UPDATE', 'DELETE', 'MANUAL']),
      data: z.object({ old: row, new: row }).nullish(),
    }),
  })
  .transform(({ id, table, event: { data } }, context) => {
    const hints: RowHint[] = []
    const { schema, name } = table
    if (schema !== 'fleet' || !isMirrored(name)) return { id, hints }
    for (const state of ['old', 'new'] as const) {
      const given = data?.[state]
      if (given === null || given === undefined) continue
      const parsed = rowId.safeParse(given)
      if (parsed.success) hints.push({ table: name, rowId: parsed.data.id })
      else {
        for (const issue of parsed.error.issues) {
          const path = ['event', 'data', state, ...issue.path]
          context.issues.push({ code: 'custom', input: given, path, message: issue.message })
        }
      }
    }
    return { id, hints }
  })
const cronEvent = z.object({
  id: eventId,
  /** Of the cron trigger; a one-off event has none. */
  name: z.string().nullish(),
  /** The region to wake; without one, all. */
  payload: z.object({ region: plainText(128).optional() }).nullish(),
})

type Outcome = 'taken' | 'repeated' | 'ignored'

/** `POST /v1/hooks/hasura/event` and `POST /v1/hooks/hasura/cron` */
export function hookRoutes(app: FastifyInstance, { health, view, hint, wake }: ApiContext): void {
  const recentEvents = new RecentIds(mostRecentIds)
  const recentCronEvents = new RecentIds(mostRecentIds)

  /** Take a delivery once: an id counts as known only when `take` had an answer. */
  const takeOnce = (
    reply: FastifyReply,
    recent: RecentIds,
    id: string,
    take: () => Outcome | undefined,
  ): { outcome: Outcome } => {
    if (recent.has(id)) return { outcome: 'repeated' }
    const outcome = health.ready ? take() : undefined
    if (outcome === undefined) {
      void reply.header('retry-after', retryAfterS)
      throw new MusterError('unavailable', `not ready: ${health.cause ?? 'the database is not heard'}`)
    }
    recent.add(id)
    return { outcome }
  }

  app.post('/v1/hooks/hasura/event', { config: { access: 'hook' } }, (request, reply) => {
    const { id, hints } = checked(z.object({ body: event }), { body: request.body }).body
    // A table that is not followed, or a delivery by hand without a row: there is nothing to look at.
    if (hints.length === 0) return { outcome: 'ignored' satisfies Outcome }
    return takeOnce(reply, recentEvents, id, () => (hint(hints) ? 'taken' : undefined))
  })

  app.post('/v1/hooks/hasura/cron', { config: { access: 'hook' } }, (request, reply) => {
    const { id, name, payload } = checked(z.object({ body: cronEvent }), { body: request.body }).body
    const wanted = payload?.region
    return takeOnce(reply, recentCronEvents, id, () => {
      const woken = view.regionIds.filter((regionId) => wanted === undefined || regionId === wanted)
      for (const regionId of woken) wake(regionId, { kind: 'tick', schedule: `hasura ${name ?? 'event'}` })
      return woken.length > 0 ? 'taken' : 'ignored'
    })
  })
}
