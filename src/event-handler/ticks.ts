import { Cron } from 'croner'

/** Call back on a cron schedule (seconds allowed, UTC); gives a function that ends it. */
export function startTicks(schedule: string, onTick: () => void): () => void {
  const job = new Cron(schedule, { timezone: 'UTC', unref: true }, onTick)
  return () => job.stop()
}
