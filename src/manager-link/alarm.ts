import type { Clock } from '../lib/clock.ts'

/** However far away: a clock may wake early. Gives what cancels it. */
export function alarm(clock: Pick<Clock, 'now' | 'after'>, time: number, callback: () => void): () => void {
  let cancel: () => void
  const wait = (): void => {
    const leftMs = time - clock.now()
    cancel = clock.after(Math.max(0, leftMs), () => (time <= clock.now() ? callback() : wait()))
  }
  wait()
  return () => cancel()
}
