/**
 * What a socket's client has yet to read. A slow reader is told less often, is not answered further while much waits for
 * it, and is given up when it takes too much or nothing for long: memory is everybody's.
 */
import type { WebSocket } from 'ws'

import type { Clock } from '../../lib/clock.ts'

export interface Outbox {
  readonly send: (message: string) => void
  /** Whether more waits than a live query should add to. */
  readonly isBehind: () => boolean
  /** Resolves once little waits, or the socket has ended. */
  readonly drained: () => Promise<void>
  readonly stop: () => void
}

/** Bytes. One message may be larger: what is counted is what waited before it. */
const many = 1024 * 1024
const tooMany = 16 * many
/** How long a reader may stay behind. */
const patienceMs = 30_000

export function createOutbox(socket: WebSocket, clock: Clock): Outbox {
  const waiters = new Set<() => void>()
  let cancelGivingUp: (() => void) | undefined
  const isBehind = (): boolean => socket.bufferedAmount > many

  const giveUp = (): void => {
    cancelGivingUp?.()
    // A close frame would wait behind all the rest.
    socket.terminate()
  }
  const written = (): void => {
    if (isBehind()) return
    cancelGivingUp?.()
    cancelGivingUp = undefined
    for (const go of waiters) go()
    waiters.clear()
  }
  return {
    isBehind,
    send: (message) => {
      if (socket.readyState !== socket.OPEN) return
      if (socket.bufferedAmount > tooMany) {
        giveUp()
        return
      }
      socket.send(message, written)
      if (isBehind()) cancelGivingUp ??= clock.after(patienceMs, giveUp)
    },
    drained: async () => {
      if (!isBehind()) return
      await new Promise<void>((go) => waiters.add(go))
    },
    stop: () => {
      cancelGivingUp?.()
      for (const go of waiters) go()
      waiters.clear()
    },
  }
}
