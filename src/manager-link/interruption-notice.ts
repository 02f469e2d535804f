import type { InterruptionNotice } from '../model/interruption.ts'
import type { Interruption } from '../muster-v1/messages.ts'

/** No provider gives a longer notice; a host is not to be kept open, fenced, for ever. */
const longestMs = 24 * 60 * 60 * 1000

/** A manager is not believed anything that the database could not store; undefined when it makes no sense. */
export function noticeOf({ kind, action, at }: Interruption, now: number): InterruptionNotice | undefined {
  if (kind === 'INTERRUPTION_KIND_UNSPECIFIED' || !Number.isSafeInteger(at) || at <= 0) return undefined
  return {
    kind: kind === 'REBALANCE' ? 'rebalance' : 'interruption',
    at: Math.min(at, now + longestMs),
    action: /^[a-z-]{1,20}$/.test(action) ? action : '',
  }
}
