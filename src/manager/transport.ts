/** How a manager's streams reach a daemon: mutual TLS 1.3, on a port or inside a WebSocket. */
import { createSecureContext } from 'node:tls'

import { credentials as grpcCredentials } from '@grpc/grpc-js'
import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js'

import { managersClient } from '../muster-v1/managers-service.ts'
import type { DaemonStream } from '../muster-v1/managers-service.ts'
import { managersServerName } from '../trust/issue.ts'
import type { Credentials } from './credentials.ts'
import { handshakeOf } from './credentials.ts'
import { parseDaemonAddress } from './daemon-address.ts'
import type { DaemonAddress } from './daemon-address.ts'
import { startForwarder } from './web-socket-forwarder.ts'

/** One way to one daemon, for one stream. */
export interface DaemonDoor {
  connect(): DaemonStream
  close(): void
  /** What gRPC said of a stream that came to nothing, in words that help. */
  explain(reason: string): Explanation
}

export interface Explanation {
  readonly reason: string
  /** Somebody is there and does not let us in: no use to knock each second. */
  readonly isRefusal: boolean
}

export interface DialOptions {
  readonly fleetId: string
  readonly credentials: Credentials
  /** The host's own: a WebSocket's local end is made there. */
  readonly directory: string
}

const channelOptions: ClientOptions = {
  // A daemon that vanished without a word is noticed within 15 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  // Each attempt is a fresh connection: the back-off is ours, not one that earlier attempts left in a shared pool.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
}

/**
 * @param address `host:port` or `wss://host/v1/managers`
 * @throws MusterError `config-invalid` when the address is none
 */
export async function dialDaemon(
  address: string,
  { fleetId, credentials, directory }: DialOptions,
): Promise<DaemonDoor> {
  const parsed = parseDaemonAddress(address)
  const context = createSecureContext({ ...handshakeOf(credentials), minVersion: 'TLSv1.3' })
  const secured = grpcCredentials.createFromSecureContext(context)
  const options = { ...channelOptions, 'grpc.ssl_target_name_override': managersServerName(fleetId) }
  if (parsed.kind === 'tcp') {
    return openDoor(targetOf(parsed), secured, options, explainTls)
  }
  const forwarder = await startForwarder(directory, parsed)
  const door = openDoor(`unix:${forwarder.path}`, secured, options, (reason) => {
    const fault = forwarder.fault()
    return fault === undefined ? explainTls(reason) : { reason: `${address}: ${fault}`, isRefusal: false }
  })
  return {
    ...door,
    close: () => {
      door.close()
      forwarder.close()
    },
  }
}

function openDoor(
  target: string,
  secured: ChannelCredentials,
  options: ClientOptions,
  explain: (reason: string) => Explanation,
): DaemonDoor {
  const client = managersClient(target, secured, options)
  return { connect: () => client.connect(), close: () => client.close(), explain }
}

function targetOf({ host, port }: Extract<DaemonAddress, { kind: 'tcp' }>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** In TLS 1.3 a server that refuses our certificate says nothing of it: it closes what we take for open. */
function explainTls(reason: string): Explanation {
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT/.test(reason)) {
    return { reason, isRefusal: false }
  }
  const why = tlsFaults.find(({ words }) => words.test(reason))?.why ?? refusedByDaemon
  return { reason: `${reason}: ${why}`, isRefusal: true }
}

const tlsFaults = [
  {
    words: /not yet valid|has expired|CERT_NOT_YET_VALID|CERT_HAS_EXPIRED/i,
    why: 'the daemon’s certificate is not of this time; is the clock of this machine right?',
  },
  {
    words: /self.signed|issuer cert|altnames|unable to verify/i,
    why: 'what answers is no daemon of this fleet',
  },
]
const refusedByDaemon =
  'if this goes on, the daemon refuses this host’s certificate: it was revoked, or its backend is terminated (npx muster backends show ID)'
