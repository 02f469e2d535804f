/**
 * A port of the daemon (its store, a provider's handler) as one life of it sees it: every call takes its time, and what the
 * plan draws goes wrong with it. What was sent is carried out whether or not the one who sent it still lives.
 */
import type { Clock } from '../lib/clock.ts'
import type { Chance } from './chance.ts'
import type { FaultKind, FaultPlan } from './faults.ts'
import type { Life } from './life.ts'
import { never } from './life.ts'
import type { Story } from './story.ts'

export interface PortOptions {
  /** `store`: its calls are named `store.commitTurn` and so on. */
  readonly name: string
  readonly life: Life
  /** The world's own, which goes on after the life. */
  readonly clock: Clock
  readonly chance: Chance
  readonly plan: FaultPlan
  readonly story: Story
  /** Ends the life. */
  readonly kill: () => void
  /** What a call throws whose request or reply is lost. */
  readonly lost: (call: string, mayBeCarriedOut: boolean) => Error
  /** From a call to its being carried out, and back again, in milliseconds. */
  readonly latencyMs: readonly [least: number, most: number]
  /** How much later a late request is carried out, in milliseconds. */
  readonly lateMs: readonly [least: number, most: number]
  /** How long the caller waits for an answer, in milliseconds. */
  readonly patienceMs: number
  /** Members whose calls are never disturbed. */
  readonly spared?: readonly string[]
}

type Method = (...args: unknown[]) => unknown

export class FaultyPort {
  readonly #options: PortOptions

  constructor(options: PortOptions) {
    this.#options = options
  }

  /** The same members; those that are no functions are left as they are. */
  wrap<T extends object>(target: T): T {
    const { name, spared = [] } = this.#options
    const members = Object.entries(target).map(([key, member]: [string, unknown]): [string, unknown] => {
      if (typeof member !== 'function') return [key, member]
      const method = member as Method
      const isListed = key === 'list'
      const wrapped: Method = isListed
        ? (...args) => this.#pages(`${name}.${key}`, () => method(...sent(args)) as AsyncIterable<unknown>)
        : (...args) =>
            this.call(`${name}.${key}`, () => method(...sent(args)) as Promise<unknown>, signalOf(args))
      return [key, spared.includes(key) ? member : wrapped]
    })
    return Object.fromEntries(members) as T
  }

  async call<T>(call: string, carryOut: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { life } = this.#options
    if (life.isOver) return never()
    signal?.throwIfAborted()
    const fault = this.#options.plan.draw(call)
    if (fault !== undefined) this.#tell(`${call} ${fault}`)
    return await life.hear(orAborted(this.#send(call, fault, carryOut), signal))
  }

  async #send<T>(call: string, fault: FaultKind | undefined, carryOut: () => Promise<T>): Promise<T> {
    const { clock, lost, kill, chance, patienceMs } = this.#options
    switch (fault) {
      case 'lost-request':
        await clock.sleep(chance.integer(1, patienceMs))
        throw lost(call, false)
      case 'kill-before':
        kill()
        return await never()
      case 'kill-under-way': {
        const arrival = clock.sleep(this.#lateness()).then(() => this.#perform(call, carryOut))
        kill()
        return await arrival
      }
      case 'late':
        return await this.#inTime(call, async () => {
          await clock.sleep(this.#lateness())
          return await this.#perform(call, carryOut)
        })
      default:
    }
    await clock.sleep(this.#latency())
    if (fault === 'repeated') {
      const answer = await this.#perform(call, carryOut)
      void clock.sleep(this.#lateness()).then(() => this.#perform(call, carryOut).catch(() => undefined))
      await clock.sleep(this.#latency())
      return answer
    }
    const answer = await this.#perform(call, carryOut)
    if (fault === 'kill-after') kill()
    await clock.sleep(this.#latency())
    if (fault === 'lost-reply') throw lost(call, true)
    return answer
  }

  async #perform<T>(call: string, carryOut: () => Promise<T>): Promise<T> {
    try {
      const answer = await carryOut()
      this.#tell(`${call} done`)
      return answer
    } catch (error) {
      this.#tell(`${call} refused: ${error instanceof Error ? error.message : String(error)}`)
      throw error
    }
  }

  /** The caller does not wait for ever; what it sent arrives all the same. */
  async #inTime<T>(call: string, work: () => Promise<T>): Promise<T> {
    const { clock, lost, patienceMs } = this.#options
    return await Promise.race([
      work(),
      clock.sleep(patienceMs).then(() => {
        throw lost(call, true)
      }),
    ])
  }

  /** A list that fails halfway is no list: some of it has been given by then. */
  async *#pages(call: string, list: () => AsyncIterable<unknown>): AsyncGenerator {
    const { life, lost, kill, plan } = this.#options
    const isOver = (): boolean => life.isOver
    if (isOver()) return await never()
    const fault = plan.draw(call)
    if (fault !== undefined) this.#tell(`${call} ${fault}`)
    await life.clock.sleep(fault === 'late' ? this.#lateness() : this.#latency())
    if (fault === 'lost-request') throw lost(call, false)
    if (fault === 'kill-before') {
      kill()
      return await never()
    }
    const items: unknown[] = []
    for await (const item of list()) items.push(item)
    if (fault === 'repeated') for await (const _ of list());
    this.#tell(`${call} ${items.length} machines`)
    const half = Math.ceil(items.length / 2)
    for (const [index, item] of items.entries()) {
      if (index === half && fault === 'lost-reply') throw lost(call, true)
      if (index === half && fault === 'kill-under-way') kill()
      if (isOver()) return await never()
      yield item
    }
    if (fault === 'lost-reply') throw lost(call, true)
    if (fault === 'kill-under-way' || fault === 'kill-after') {
      kill()
      return await never()
    }
  }

  #latency(): number {
    return this.#options.chance.integer(...this.#options.latencyMs)
  }

  #lateness(): number {
    return this.#options.chance.integer(...this.#options.lateMs)
  }

  #tell(what: string): void {
    this.#options.story.tell(what)
  }
}

/** What is on its way does not come back when its sender gives it up. */
function sent(args: readonly unknown[]): readonly unknown[] {
  return args.map((arg) => (arg instanceof AbortSignal ? new AbortController().signal : arg))
}

function signalOf(args: readonly unknown[]): AbortSignal | undefined {
  return args.find((arg) => arg instanceof AbortSignal)
}

/** Who gives a call up does not hear its answer; it is carried out all the same. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
