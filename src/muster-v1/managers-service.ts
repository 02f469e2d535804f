import { makeClientConstructor } from '@grpc/grpc-js'
import type {
  ChannelCredentials,
  Client,
  ClientDuplexStream,
  ClientOptions,
  MethodDefinition,
  ServerDuplexStream,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'

import type { FromDaemon, FromManager, Received } from './messages.ts'

/**
 * muster.proto as both ends use it: the daemon hands `managersService` to a gRPC server, the manager opens a
 * `managersClient`. The types are those of messages.ts; nothing else of the package is exported.
 */
export interface ManagersService {
  readonly [method: string]: MethodDefinition<FromManager, FromDaemon>
  readonly Connect: MethodDefinition<FromManager, FromDaemon>
}

/** What a server implements: `server.addService(managersService, { connect: (stream) => … })`. */
export type ManagerStream = ServerDuplexStream<Received<FromManager>, FromDaemon>

export type DaemonStream = ClientDuplexStream<FromManager, Received<FromDaemon>>

export interface ManagersClient extends Client {
  connect(): DaemonStream
}

export const managersService = loadManagersService()

const ClientConstructor = makeClientConstructor(managersService, 'muster.v1.Managers')

/** Opens no connection by itself: the first `connect()` does. */
export function managersClient(
  address: string,
  credentials: ChannelCredentials,
  options: ClientOptions = {},
): ManagersClient {
  return new ClientConstructor(address, credentials, options) as unknown as ManagersClient
}

function loadManagersService(): ManagersService {
  const loaded = loadSync(fileURLToPath(new URL('./muster.proto', import.meta.url)), {
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  })
  return loaded['muster.v1.Managers'] as unknown as ManagersService
}
