import type { ManagerStream } from '../muster-v1/managers-service.ts'
import { endStream } from './grpc-server.ts'

/** The streams of each backend, one after the other, in the order in which they came. */
export class StreamOrder {
  /** Of each backend the youngest stream that waits for what an earlier one still writes. */
  readonly #waiting = new Map<string, ManagerStream>()
  readonly #unsettled = new Map<string, Promise<unknown>>()

  /** `step` runs once earlier streams of the backend are done; never, when a younger one has come by then. */
  async enter<T>(
    backendId: string,
    stream: ManagerStream,
    step: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const overtaken = this.#waiting.get(backendId)
    if (overtaken !== undefined)
      endStream(overtaken, 'UNAVAILABLE', 'another stream of this manager took over')
    this.#waiting.set(backendId, stream)
    return this.afterEarlier(backendId, async () => {
      if (this.#waiting.get(backendId) !== stream) return undefined
      this.#waiting.delete(backendId)
      return step()
    })
  }

  /** What an earlier stream of a backend still writes must not be written after what a later one tells. */
  async afterEarlier<T>(backendId: string, step: () => Promise<T>): Promise<T> {
    const earlier = this.#unsettled.get(backendId)
    const mine = (async () => {
      await earlier
      return step()
    })()
    this.#unsettled.set(backendId, mine)
    try {
      return await mine
    } finally {
      if (this.#unsettled.get(backendId) === mine) this.#unsettled.delete(backendId)
    }
  }
}
