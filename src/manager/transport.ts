import { credentials } from '@grpc/grpc-js'
import { BlockList, isIP } from 'node:net'

import { MusterError } from '../model/errors.ts'
import { managersClient } from '../muster-v1/managers-service.ts'
import type { ManagersClient } from '../muster-v1/managers-service.ts'

/**
 * How a manager reaches a daemon: the one place that knows whether the wire is plain or mutual TLS. Plain text carries
 * enrolment tokens, so it is for the machine's own loopback only.
 */
const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * @param address `host:port`, an IPv6 host in brackets.
 * @throws MusterError `config-invalid` when the address is not of this machine.
 */
export function dialDaemon(address: string): ManagersClient {
  if (!isLoopback(address)) {
    throw new MusterError(
      'config-invalid',
      `${address} is not a loopback address: plain text stays on the machine`,
    )
  }
  return managersClient(address, credentials.createInsecure(), {
    // A daemon that vanished without a word is noticed within 15 s.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5000,
    // Each attempt is a fresh connection: the back-off is ours, not one that earlier attempts left in a shared pool.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  })
}

function isLoopback(address: string): boolean {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  if (host === 'localhost') return true
  const version = isIP(host)
  return version !== 0 && loopback.check(host, version === 6 ? 'ipv6' : 'ipv4')
}
