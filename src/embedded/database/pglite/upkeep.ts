/**
 * CHECKPOINT and VACUUM for a database without background processes. Without checkpoints the write-ahead log grows as
 * long as the daemon runs, and the next start replays all of it.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Logger } from '../../../lib/logger.ts'
import type { TextRow, Transaction } from '../database.ts'

const lookMs = 1_000
const checkpointMs = 60_000
const checkpointBytes = 64 * 1024 * 1024
const vacuumMs = 60 * 60 * 1_000
const walPosition = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text"

export interface Upkeep {
  /** Something may have been written since the last look. */
  noteStatement(): void
  stop(): Promise<void>
}

/** `session` runs statements between other people's transactions, never inside one. */
export function startUpkeep(session: Transaction, clock: Clock, logger: Logger): Upkeep {
  let isUsed = false
  let isStopped = false
  let checkpointed: { bytes: number; at: number } | undefined
  let vacuumedAt = clock.now()
  let work: Promise<void> = Promise.resolve()

  const look = async (): Promise<void> => {
    const now = clock.now()
    const bytes = positionOf(await session.query(walPosition))
    checkpointed ??= { bytes, at: now }
    if (now - vacuumedAt >= vacuumMs) {
      await session.script('vacuum (analyze)')
      vacuumedAt = now
    }
    const written = bytes - checkpointed.bytes
    if (written >= checkpointBytes || (written > 0 && now - checkpointed.at >= checkpointMs)) {
      await session.script('checkpoint')
      checkpointed = { bytes: positionOf(await session.query(walPosition)), at: now }
    }
    isUsed = checkpointed.bytes < bytes
  }

  let cancel = (): void => undefined
  const arm = (): void => {
    if (isStopped) return
    cancel = clock.after(lookMs, () => {
      work = (isUsed ? look() : Promise.resolve())
        .catch((error: unknown) =>
          logger.error({ err: error }, 'the embedded database could not be checkpointed'),
        )
        .then(arm)
    })
  }
  arm()
  return {
    noteStatement: () => {
      isUsed = true
    },
    stop: async () => {
      isStopped = true
      cancel()
      await work
      await session.script('checkpoint')
    },
  }
}

const positionOf = (rows: readonly TextRow[]): number => Number(rows[0]?.[0] ?? 0)
