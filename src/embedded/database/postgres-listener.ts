/**
 * LISTEN on a connection of its own, which a pool could not give: it is held for ever, and made anew when it is lost.
 * After each reconnect every listener hears `undefined`, since notifications of the gap are gone.
 */
import pg from 'pg'

import { backoffMs } from '../../lib/backoff.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Logger } from '../../lib/logger.ts'
import type { Database } from './database.ts'
import { quoteName } from './database.ts'
import { postgresErrorOf } from './postgres-errors.ts'

type Callback = (payload: string | undefined) => void

const backoff = { firstMs: 50, longestMs: 1_000, jitter: 0.2 }
/** A peer that vanished without a word is found by asking: LISTEN connections are silent by nature. */
const probeMs = 10_000

export function createPostgresListener(
  connection: pg.ClientConfig,
  logger: Logger,
): Pick<Database, 'listen' | 'close'> {
  const callbacks = new Map<string, Set<Callback>>()
  const stopped = new AbortController()
  const isStopped = (): boolean => stopped.signal.aborted
  let client: pg.Client | undefined
  let connecting: Promise<void> | undefined

  const tellAll = (): void => {
    for (const set of callbacks.values()) for (const callback of set) callback(undefined)
  }

  const connect = async (): Promise<void> => {
    const next = new pg.Client(connection)
    let cancelProbe = (): void => undefined
    const lost = (): void => {
      cancelProbe()
      next.removeAllListeners('notification')
      next.end().catch(() => undefined)
      if (client !== next) return
      client = undefined
      if (!isStopped()) connecting = reconnect()
    }
    next.on('error', lost)
    next.on('end', lost)
    next.on('notification', ({ channel, payload }) => {
      for (const callback of callbacks.get(channel) ?? []) callback(payload ?? '')
    })
    try {
      await next.connect()
      for (const channel of callbacks.keys()) await next.query(`listen ${quoteName(channel)}`)
    } catch (error) {
      next.end().catch(() => undefined)
      throw postgresErrorOf(error)
    }
    if (isStopped()) {
      await next.end()
      return
    }
    client = next
    const probe = (): void => {
      cancelProbe = systemClock.after(probeMs, () => {
        const timedOut = systemClock.after(probeMs, lost)
        next.query('select 1').then(probe, lost).finally(timedOut)
      })
    }
    probe()
  }

  const reconnect = async (): Promise<void> => {
    for (let failures = 1; !isStopped(); failures += 1) {
      try {
        await systemClock.sleep(backoffMs(failures, backoff), stopped.signal)
        await connect()
        logger.info({ failures: failures - 1 }, 'listening to the database again')
        tellAll()
        return
      } catch (error) {
        if (failures === 1 && !isStopped()) {
          logger.warn({ err: error }, 'the connection that listens to the database was lost')
        }
      }
    }
  }

  return {
    listen: async (channel, callback) => {
      const set = callbacks.get(channel) ?? new Set()
      callbacks.set(channel, set)
      set.add(callback)
      if (client === undefined) {
        connecting ??= connect().catch((error: unknown) => {
          connecting = undefined
          throw error
        })
        await connecting
      } else if (set.size === 1) {
        await client.query(`listen ${quoteName(channel)}`)
      }
      return async () => {
        set.delete(callback)
        if (set.size > 0) return
        callbacks.delete(channel)
        await client?.query(`unlisten ${quoteName(channel)}`).catch(() => undefined)
      }
    },
    close: async () => {
      stopped.abort()
      await connecting?.catch(() => undefined)
      await client?.end()
    },
  }
}
