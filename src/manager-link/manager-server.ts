import { Server, ServerCredentials, status } from '@grpc/grpc-js'

import { MusterError } from '../model/errors.ts'
import { managersService } from '../muster-v1/managers-service.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'

/** How long open streams have to end by themselves, in milliseconds. */
const shutdownMs = 500

export interface ManagerServer {
  readonly port: number
  stop(): Promise<void>
}

/**
 * The port that managers dial, on loopback only: the wire is plain until `serverCredentials` says otherwise.
 *
 * @param port 0 for any free one.
 * @throws MusterError `port-in-use`
 */
export async function startManagerServer(
  port: number,
  accept: (stream: ManagerStream) => void,
): Promise<ManagerServer> {
  const server = new Server({
    'grpc.max_receive_message_length': 1024 * 1024,
    'grpc.max_concurrent_streams': 100,
    // A machine that vanished without a word is noticed within 15 s.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
  })
  server.addService(managersService, { Connect: accept })
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, serverCredentials(), (error, boundPort) => {
      if (error === null) resolve(boundPort)
      else reject(unusablePort(port, error))
    })
  })
  return {
    port: bound,
    stop: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), shutdownMs)
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      }),
  }
}

/** End a stream with a status that its manager may log; a clean end says nothing. */
export function endStream(stream: ManagerStream, code: keyof typeof status, details: string): void {
  stream.emit('error', Object.assign(new Error(details), { code: status[code], details }))
}

/** The seam for mutual TLS. */
function serverCredentials(): ServerCredentials {
  return ServerCredentials.createInsecure()
}

function unusablePort(port: number, cause: Error): MusterError {
  return new MusterError(
    'port-in-use',
    `port ${port} on 127.0.0.1 cannot be opened for managers: ${cause.message}; set MUSTER_MANAGER_PORT to another`,
    { cause, retryable: true },
  )
}
