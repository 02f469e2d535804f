/** Users who come one after the other, each with a session of a real agent, and what goes wrong for them. */
import type { Daemon } from './daemon.ts'

export interface SessionLoadOptions {
  readonly everyMs: number
  readonly lastsMs: readonly [shortest: number, longest: number]
  /** Agents may die under their users: only the assigns count. */
  readonly mayDie?: boolean
}

let users = 0

export class SessionLoad {
  readonly #daemon: Daemon
  readonly #options: SessionLoadOptions
  readonly #running = new Set<Promise<void>>()
  #isOver = false
  #loop: Promise<void> = Promise.resolve()
  served = 0
  live = 0
  /** Assigns that were not served. */
  readonly refused: string[] = []
  /** Sessions that were there no more before their user left. */
  readonly cut: string[] = []

  constructor(daemon: Daemon, options: SessionLoadOptions) {
    this.#daemon = daemon
    this.#options = options
  }

  get faults(): readonly string[] {
    return [...this.refused, ...this.cut]
  }

  start(): void {
    this.#loop = this.#come()
  }

  /** Nobody comes any more; resolves when the last has left. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#loop
    await Promise.all(this.#running)
  }

  async #come(): Promise<void> {
    while (!this.#isOver) {
      const session = this.#session(`load-${(users += 1)}`)
      this.#running.add(session)
      void session.finally(() => this.#running.delete(session))
      await pause(this.#options.everyMs)
    }
  }

  async #session(user: string): Promise<void> {
    const { lastsMs, mayDie = false } = this.#options
    // As long as a client may wait: on a busy machine an agent's start takes its time.
    const { status, body } = await this.#daemon.assign(user, { waitMs: 25_000 })
    if (status !== 200) {
      this.refused.push(`${user}: ${status} ${body.code ?? ''}`)
      return
    }
    this.served += 1
    this.live += 1
    const url = `http://${body.address}:${body.port}/`
    const [shortest, longest] = lastsMs
    try {
      const first = await fetch(url)
      await first.text()
      await pause(shortest + ((users * 997) % (longest - shortest)))
      const last = (await (await fetch(url)).json()) as { session_id?: string }
      if (last.session_id !== body.session_id) this.cut.push(`${user}: ${JSON.stringify(last)}`)
      await fetch(`${url}end`, { method: 'POST' })
    } catch (error) {
      if (!mayDie) this.cut.push(`${user} on ${body.host_id}: ${String(error)}`)
    } finally {
      this.live -= 1
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
