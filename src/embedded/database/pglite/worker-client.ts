/** The endpoint's end of PGlite's thread. */
import { Worker } from 'node:worker_threads'

import { MusterError } from '../../../model/errors.ts'
import type { TextRow } from '../database.ts'
import { SqlError } from '../database.ts'
import type { WorkerReply, WorkerRequest, WorkerSettings } from './messages.ts'

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never

export interface WorkerClient {
  /** @throws SqlError; MusterError `database-unavailable` once the thread is gone. */
  call(request: Unnumbered<WorkerRequest>): Promise<readonly TextRow[]>
  /** Whether its thread is gone, told to or not. */
  hasEnded(): boolean
  close(): Promise<void>
}

interface Call {
  readonly resolve: (rows: readonly TextRow[]) => void
  readonly reject: (error: Error) => void
}

export type Notified = (channel: string, payload: string) => void

/** Ready when it gives itself. @throws MusterError `data-directory-unusable` when PGlite does not start. */
export async function startWorker(
  settings: WorkerSettings,
  notified: Notified = () => undefined,
): Promise<WorkerClient> {
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: settings })
  const calls = new Map<number, Call>()
  let nextId = 1
  let gone: MusterError | undefined

  const end = (reason: string): void => {
    gone ??= new MusterError('database-unavailable', `the embedded database has ended: ${reason}`)
    for (const call of calls.values()) call.reject(gone)
    calls.clear()
  }
  const settle = (id: number): Call | undefined => {
    const call = calls.get(id)
    calls.delete(id)
    return call
  }
  await new Promise<void>((resolve, reject) => {
    const fail = (reason: string): void =>
      reject(
        new MusterError(
          'data-directory-unusable',
          `the embedded database at ${settings.directory} does not start: ${reason}`,
        ),
      )
    worker.on('message', (reply: WorkerReply) => {
      switch (reply.kind) {
        case 'ready': {
          resolve()
          return
        }
        case 'failed': {
          fail(reply.message)
          return
        }
        case 'rows':
          return settle(reply.id)?.resolve(reply.rows)
        case 'refused':
          return settle(reply.id)?.reject(new SqlError(reply.sqlState, reply.message))
        case 'notified':
          notified(reply.channel, reply.payload)
          return
      }
    })
    worker.on('error', (error) => {
      const reason = error instanceof Error ? error.message : String(error)
      end(reason)
      fail(reason)
    })
    worker.on('exit', (code) => {
      end(`its thread exited with ${code}`)
      fail(`its thread exited with ${code}`)
    })
  }).catch(async (error: unknown) => {
    await worker.terminate()
    throw error
  })

  const call: WorkerClient['call'] = (request) =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone)
        return
      }
      const id = nextId++
      calls.set(id, { resolve, reject })
      worker.postMessage({ ...request, id })
    })
  return {
    call,
    hasEnded: () => gone !== undefined,
    close: async () => {
      if (gone === undefined && !settings.isInit) await call({ kind: 'close' })
      await worker.terminate()
    },
  }
}
