/**
 * A worker at any time: when its thread has ended without being told to (PGlite broke down), the next who asks gets a
 * new one over the same files, as after a crash of the process.
 */
import type { Logger } from '../../../lib/logger.ts'
import type { Notified, WorkerClient } from './worker-client.ts'

export interface WorkerKeeper {
  /** The worker of now. @throws what starting one throws */
  current(): Promise<WorkerClient>
  /** Hears of the channel on every worker; `undefined` when one took another's place. */
  listen(channel: string, callback: (payload: string | undefined) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

export async function keepWorker(
  start: (notified: Notified) => Promise<WorkerClient>,
  logger: Logger,
): Promise<WorkerKeeper> {
  const channels = new Map<string, Set<(payload: string | undefined) => void>>()
  const notified: Notified = (channel, payload) => {
    for (const callback of channels.get(channel) ?? []) callback(payload)
  }
  let worker = await start(notified)
  let starting: Promise<WorkerClient> | undefined

  const replace = async (): Promise<WorkerClient> => {
    logger.error('the embedded database broke down: it is started again')
    const next = await start(notified)
    for (const channel of channels.keys()) await next.call({ kind: 'listen', channel })
    worker = next
    for (const callbacks of channels.values()) for (const callback of callbacks) callback(undefined)
    return next
  }
  const current = async (): Promise<WorkerClient> => {
    if (!worker.hasEnded()) return worker
    starting ??= replace().finally(() => (starting = undefined))
    return await starting
  }
  return {
    current,
    listen: async (channel, callback) => {
      const callbacks = channels.get(channel) ?? new Set()
      const isFirst = callbacks.size === 0
      channels.set(channel, callbacks.add(callback))
      if (isFirst) await (await current()).call({ kind: 'listen', channel })
      return async () => {
        callbacks.delete(callback)
        if (callbacks.size > 0) return
        channels.delete(channel)
        if (!worker.hasEnded()) await worker.call({ kind: 'unlisten', channel })
      }
    },
    close: async () => {
      await starting?.catch(() => undefined)
      await worker.close()
    },
  }
}
