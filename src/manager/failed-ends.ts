import type { AgentState } from '../muster-v1/messages.ts'

/** Kept at most: a host of crashing agents under a daemon that is away must not grow. */
const most = 100

/**
 * Agents that are gone and whose session failed, until the daemon surely knows: it takes an agent that Hello does not
 * name for gone, but not for failed. A Welcome says that what its Hello told is stored; what was only reported on a
 * stream is told once more on the next one, which is harmless.
 */
export class FailedEnds {
  #ends: readonly AgentState[] = []
  #inHello: ReadonlySet<AgentState> = new Set()

  note(state: AgentState): void {
    if (state.status !== 'GONE' || state.failure === '') return
    this.#ends = [...this.#ends, state].slice(-most)
  }

  /** For a Hello. */
  toTell(): readonly AgentState[] {
    this.#inHello = new Set(this.#ends)
    return this.#ends
  }

  /** The last Hello was answered with Welcome. */
  told(): void {
    this.#ends = this.#ends.filter((state) => !this.#inHello.has(state))
  }
}
