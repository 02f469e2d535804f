/** What every answer tells browsers, and which addresses and protocols are believed. */
import type { IncomingMessage } from 'node:http'

import proxyAddr from '@fastify/proxy-addr'
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * Whose `X-Forwarded-For` and `-Proto` count: addresses and subnets, or `heroku`, where nobody but the router can connect.
 * The last proxy's own entry is taken, never one that a client wrote before it.
 */
export type TrustedProxies = readonly string[] | 'heroku'

/** As fastify takes it. Without proxies the headers count for nothing. */
export function proxyTrust(
  proxies: TrustedProxies | undefined,
): false | string[] | ((address: string, hop: number) => boolean) {
  if (proxies === undefined) return false
  return proxies === 'heroku' ? (_address, hop) => hop === 0 : [...proxies]
}

/** Whose a request is that fastify does not see: one to upgrade. As `request.ip` is for all others. */
export function addressReader(proxies: TrustedProxies | undefined): (request: IncomingMessage) => string {
  const trust = proxyTrust(proxies)
  if (trust === false) return (request) => request.socket.remoteAddress ?? ''
  const isTrusted = typeof trust === 'function' ? trust : proxyAddr.compile(trust)
  return (request) => proxyAddr(request, isTrusted)
}

/** No page of anybody's may read, frame or guess at what comes from here: there are no CORS headers at all. */
export function addSecurityHeaders(request: FastifyRequest, reply: FastifyReply): void {
  void reply
    .header('x-request-id', request.id)
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store')
    .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    .header('cross-origin-resource-policy', 'same-origin')
    .header('referrer-policy', 'no-referrer')
  // Said over TLS only, as RFC 6797 has it (7.2); there it ends in a proxy that says so.
  if (request.protocol === 'https') void reply.header('strict-transport-security', 'max-age=31536000')
}
