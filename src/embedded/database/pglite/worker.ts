/** PGlite, in a thread of its own: a statement of seconds must not hold up the daemon's event loop. */
import { parentPort, workerData } from 'node:worker_threads'

import { PGlite } from '@electric-sql/pglite'

import type { WorkerReply, WorkerRequest, WorkerSettings } from './messages.ts'

const { directory, isInit } = workerData as WorkerSettings
const say = (reply: WorkerReply): void => parentPort?.postMessage(reply)

const asText = { rowMode: 'array', parsers: {} } as const

async function open(): Promise<PGlite> {
  return await PGlite.create({
    dataDir: directory,
    // Recycled segments of the write-ahead log are kept up to this size: the default of 1 GB suits no laptop.
    startParams: [
      ...PGlite.defaultStartParams,
      '-c',
      'max_wal_size=128MB',
      '-c',
      'min_wal_size=32MB',
      '-c',
      'jit=off',
    ],
  })
}

async function answer(
  database: PGlite,
  request: Exclude<WorkerRequest, { kind: 'close' }>,
): Promise<WorkerReply> {
  switch (request.kind) {
    case 'query': {
      const { rows } = await database.query<(string | null)[]>(request.sql, [...request.parameters], asText)
      return { kind: 'rows', id: request.id, rows }
    }
    case 'script':
      await database.exec(request.sql)
      return { kind: 'rows', id: request.id, rows: [] }
    case 'listen': {
      const { channel } = request
      await database.listen(channel, (payload) => say({ kind: 'notified', channel, payload }))
      return { kind: 'rows', id: request.id, rows: [] }
    }
    case 'unlisten':
      await database.unlisten(request.channel)
      return { kind: 'rows', id: request.id, rows: [] }
  }
}

function refusal(id: number, error: unknown): WorkerReply {
  const sqlState =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'XX000'
  return { kind: 'refused', id, sqlState, message: error instanceof Error ? error.message : String(error) }
}

/** WebAssembly trapped, or its program left. */
const isBreakdown = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'RuntimeError' || error.name === 'ExitStatus')

async function serve(): Promise<void> {
  const database = await open()
  if (isInit) {
    await database.close()
    say({ kind: 'ready' })
    return
  }
  // One at a time, in order: the other thread counts on it when it sends `begin` behind statements under way.
  let last: Promise<void> = Promise.resolve()
  parentPort?.on('message', (request: WorkerRequest) => {
    last = last.then(async () => {
      if (request.kind === 'close') {
        await database.close()
        say({ kind: 'rows', id: request.id, rows: [] })
        parentPort?.close()
        return
      }
      try {
        say(await answer(database, request))
      } catch (error) {
        // What is left of PostgreSQL after this cannot be trusted: the thread ends, and another takes its place.
        if (isBreakdown(error)) throw error
        say(refusal(request.id, error))
      }
    })
  })
  say({ kind: 'ready' })
}

serve().catch((error: unknown) => {
  say({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
})
