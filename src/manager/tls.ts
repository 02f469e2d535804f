/**
 * TLS 1.3 to a daemon, on any wire. A daemon is known by its certificate's name, which follows from the fleet, never by
 * its address.
 */
import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'

import { managersServerName } from '../trust/issue.ts'
import { isRoot, pinOfCertificate } from './credentials.ts'

export interface TlsOptions {
  readonly fleetId: string
  readonly protocol: string
  /** Roots, PEM. undefined: nobody is believed, and nothing may be said. */
  readonly ca: string | undefined
  /** For the handshake, milliseconds. */
  readonly timeoutMs: number
}

/**
 * @param wire is destroyed when it comes to nothing
 * @throws Error of OpenSSL, when the server proves nothing, or speaks no such protocol
 */
export async function secure(wire: Duplex, options: TlsOptions): Promise<TLSSocket> {
  const socket = connect({
    socket: wire,
    servername: managersServerName(options.fleetId),
    ALPNProtocols: [options.protocol],
    minVersion: 'TLSv1.3',
    ca: options.ca ?? [],
    // Of a server that is only looked at there is nothing to check yet.
    rejectUnauthorized: options.ca !== undefined,
  })
  const timer = setTimeout(() => socket.destroy(new Error('no TLS handshake in time')), options.timeoutMs)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.on('error', reject)
      socket.once('close', () => reject(new Error('the connection was closed in the TLS handshake')))
    })
    if (options.ca !== undefined && (!socket.authorized || socket.alpnProtocol !== options.protocol)) {
      throw new Error(`what answers does not speak ${options.protocol}`)
    }
    return socket
  } catch (error) {
    socket.destroy()
    wire.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The root, among what the server showed, whose key is pinned. That it shows one proves nothing (a root is no secret):
 * it is what the server's certificate must then lead to.
 */
export function pinnedRoot(socket: TLSSocket, pins: readonly string[]): X509Certificate | undefined {
  let shown = socket.getPeerX509Certificate()
  for (let length = 0; shown !== undefined && length < 8; length += 1) {
    if (isRoot(shown) && pins.includes(pinOfCertificate(shown))) return shown
    shown = shown.issuerCertificate
  }
  return undefined
}
