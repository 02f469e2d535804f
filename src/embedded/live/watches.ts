/** One look at the database that is repeated, and those who hear what it gives. */
import { createHash } from 'node:crypto'

import type { HasuraError } from '../execution/hasura-error.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import type { LookAt } from './looks.ts'
import type { LiveSubscription, StreamSubscription } from './subscription.ts'
import type { Watch } from './timing.ts'

export interface Follower {
  /** A whole `{"data": …}`. */
  next(text: string): void
  error(error: HasuraError): void
  /** Whether what it was sent before has not left yet: it is then told less often, and the newest. */
  isBehind(): boolean
}

/** Runs `look` at once when idle; wakes that come meanwhile are merged into one more run. */
function createWaker(look: () => Promise<void>): () => void {
  let isRunning = false
  let isWanted = false
  const run = async (): Promise<void> => {
    isRunning = true
    while (isWanted) {
      isWanted = false
      await look()
    }
    isRunning = false
  }
  return () => {
    isWanted = true
    if (!isRunning) void run()
  }
}

const digest = (text: string): string => createHash('sha1').update(text).digest('base64')

/** A live query: its whole answer whenever that is another than before. */
export class LiveWatch implements Watch {
  readonly sources: ReadonlySet<string>
  readonly sql: string
  readonly wake: () => void
  readonly #followers = new Map<Follower, string | undefined>()

  constructor(subscription: LiveSubscription, lookAt: LookAt) {
    this.sources = subscription.sources
    this.sql = subscription.look.sql
    this.wake = createWaker(async () => {
      // A wake may come for one that has just lost its last follower.
      if (this.#followers.size === 0) return
      try {
        const text = subscription.message(await lookAt(subscription.look))
        this.#tell(text)
      } catch (error) {
        this.#fail(hasuraErrorOf(error))
      }
    })
  }

  /** The newcomer hears the answer of the next look, whether or not it has changed. */
  add(follower: Follower): void {
    this.#followers.set(follower, undefined)
  }

  /** Gives how many are left. */
  remove(follower: Follower): number {
    this.#followers.delete(follower)
    return this.#followers.size
  }

  #tell(text: string): void {
    const hash = digest(text)
    for (const [follower, told] of this.#followers) {
      // Who is behind is told the newest at a later look.
      if (told === hash || follower.isBehind()) continue
      this.#followers.set(follower, hash)
      follower.next(text)
    }
  }

  #fail(error: HasuraError): void {
    for (const follower of this.#followers.keys()) {
      // What is told next is told even if it is what it was before the error.
      this.#followers.set(follower, undefined)
      if (!follower.isBehind()) follower.error(error)
    }
  }
}

/** A stream: the rows beyond its cursor, which it moves itself. */
export class StreamWatch implements Watch {
  readonly sources: ReadonlySet<string>
  readonly sql: string
  readonly wake: () => void
  #cursor: string | undefined
  /** Of the batch before, undefined when that was empty. */
  #told: string | undefined
  #isEnded = false

  /** `goesOn`: a full batch is followed by the next at once. */
  constructor(subscription: StreamSubscription, follower: Follower, lookAt: LookAt, goesOn: boolean) {
    this.sources = subscription.sources
    this.sql = subscription.lookFrom(undefined).sql
    this.wake = createWaker(async () => {
      if (this.isEnded() || follower.isBehind()) return
      try {
        const message = subscription.message(await lookAt(subscription.lookFrom(this.#cursor)))
        if (this.isEnded()) return
        const told = this.#told
        this.#told = message === undefined ? undefined : digest(message.text)
        if (message === undefined) return
        this.#cursor = message.cursor
        // As the engine: a batch that reads like the one before is not sent.
        if (this.#told !== told) follower.next(message.text)
        if (message.isFull && goesOn) this.wake()
      } catch (error) {
        if (!this.isEnded()) follower.error(hasuraErrorOf(error))
      }
    })
  }

  end(): void {
    this.#isEnded = true
  }

  isEnded(): boolean {
    return this.#isEnded
  }
}
