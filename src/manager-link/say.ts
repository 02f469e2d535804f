import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { FromDaemon } from '../muster-v1/messages.ts'
import { endStream } from './grpc-server.ts'

/** A manager that reads this slowly is cut off; it is told everything again when it returns. */
const mostUnsent = 1000

/** Dropped when the stream has ended: its manager is told all on its next one. */
export function say(stream: ManagerStream, message: FromDaemon): void {
  if (stream.destroyed || stream.writableEnded) return
  stream.write(message)
  if (stream.writableLength > mostUnsent) {
    endStream(stream, 'RESOURCE_EXHAUSTED', 'the manager does not read what it is told')
  }
}
