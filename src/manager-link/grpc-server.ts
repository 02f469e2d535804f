import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { TLSSocket } from 'node:tls'

import { managersService } from '../muster-v1/managers-service.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'

export interface GrpcServer {
  /** A connection that was let in. */
  inject(socket: TLSSocket): void
  /** At once; whoever holds a stream has ended it before. */
  stop(): void
}

/** gRPC on connections that are handed to it: it opens no port and does no TLS of its own. */
export function startGrpcServer(accept: (stream: ManagerStream) => void): GrpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': 1024 * 1024,
    'grpc.max_concurrent_streams': 4,
    // A machine that vanished without a word is noticed within 15 s.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    // A manager has one stream for as long as it lives.
    'grpc.max_connection_idle_ms': 30_000,
    // MB: several messages under way.
    'grpc-node.max_session_memory': 16,
  })
  server.addService(managersService, { Connect: accept })
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  return {
    inject: (socket) => injector.injectConnection(socket),
    stop: () => {
      injector.destroy()
      server.forceShutdown()
    },
  }
}

/** End a stream with a status that its manager may log; a clean end says nothing. */
export function endStream(stream: ManagerStream, code: keyof typeof status, details: string): void {
  stream.emit('error', Object.assign(new Error(details), { code: status[code], details }))
}
