import type { SessionAnswer } from './seams.ts'

/** Who waits for a manager's answer to StartSession. */
export class SessionOffers {
  readonly #waiting = new Map<string, Set<(answer: SessionAnswer) => void>>()

  /** Resolves with the manager's answer, or with why there will be none. */
  wait(agentId: string, sessionId: string, signal: AbortSignal): Promise<SessionAnswer> {
    const key = keyOf(agentId, sessionId)
    return new Promise((resolve) => {
      const settle = (answer: SessionAnswer): void => {
        signal.removeEventListener('abort', onAbort)
        const waiting = this.#waiting.get(key)
        waiting?.delete(settle)
        if (waiting?.size === 0) this.#waiting.delete(key)
        resolve(answer)
      }
      const onAbort = (): void => settle({ taken: false, error: 'no longer waited for' })
      const waiting = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, waiting.add(settle))
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Whether anybody waited. */
  answer(agentId: string, sessionId: string, answer: SessionAnswer): boolean {
    const waiting = this.#waiting.get(keyOf(agentId, sessionId))
    for (const settle of [...(waiting ?? [])]) settle(answer)
    return waiting !== undefined
  }

  refuseAll(error: string): void {
    for (const waiting of [...this.#waiting.values()]) {
      for (const settle of [...waiting]) settle({ taken: false, error })
    }
  }
}

function keyOf(agentId: string, sessionId: string): string {
  return JSON.stringify([agentId, sessionId])
}
