import type { Clock } from '../lib/clock.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { FromManager, Hello, Received } from '../muster-v1/messages.ts'
import { endStream } from './grpc-server.ts'

export interface StreamEars<Speaker> {
  /** Whether the stream's connection still has its right. */
  readonly mayBeHeard: () => boolean
  /** Who speaks; undefined when it was not let in. Never throws. */
  readonly introduce: (hello: Hello) => Promise<Speaker | undefined>
  readonly heard: (speaker: Speaker, received: Received<FromManager>) => void
  /** The stream has ended, of whomever it was. */
  readonly closed: (speaker: Speaker | undefined) => void
  readonly clock: Clock
}

const helloWithinMs = 5_000

/** Hello first, and nothing more until it is known who speaks; then everything, to its end. */
export function hearStream<Speaker>(stream: ManagerStream, ears: StreamEars<Speaker>): void {
  let speaker: Speaker | undefined
  let isIntroduced = false
  let isOpen = true
  const cancelTimer = ears.clock.after(helloWithinMs, () =>
    endStream(stream, 'DEADLINE_EXCEEDED', 'no Hello in time'),
  )
  const closed = (): void => {
    cancelTimer()
    isOpen = false
    stream.end()
    ears.closed(speaker)
    speaker = undefined
  }
  stream.on('data', (received: Received<FromManager>) => {
    // What a connection says after its right was taken, in the moment before it is closed, counts for nothing.
    if (!ears.mayBeHeard()) return
    if (speaker !== undefined) {
      ears.heard(speaker, received)
      return
    }
    cancelTimer()
    if (received.message !== 'hello' || isIntroduced) {
      endStream(stream, 'INVALID_ARGUMENT', 'the first message must be Hello')
      return
    }
    isIntroduced = true
    stream.pause()
    void ears.introduce(received.hello).then((introduced) => {
      speaker = introduced
      if (isOpen) stream.resume()
      else closed()
    })
  })
  stream.once('cancelled', closed)
  stream.once('error', closed)
  stream.once('end', closed)
  stream.once('close', closed)
}
