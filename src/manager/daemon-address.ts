import { isLoopback } from './loopback.ts'
import { MusterError } from '../model/errors.ts'

/** Where a daemon takes managers: at a port of its own, or inside a WebSocket where only HTTP comes in. */
export type DaemonAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'websocket'; readonly url: string }

/**
 * `host:port` (an IPv6 host in brackets) or `wss://host[:port]/v1/managers`; `ws://` only to this machine, since a
 * proxy that ends TLS should have it on both sides.
 * @throws MusterError `config-invalid`
 */
export function parseDaemonAddress(text: string): DaemonAddress {
  const refuse = (why: string): MusterError =>
    new MusterError(
      'config-invalid',
      `the daemon's address ${JSON.stringify(text)} ${why}: use host:port or wss://host/v1/managers`,
    )
  if (!text.includes('://')) {
    const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text) ?? []
    const host = bracketed ?? plain
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) throw refuse('is none')
    return { kind: 'tcp', host, port: Number(port) }
  }
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'wss:' && url.protocol !== 'ws:')) throw refuse('is none')
  if (!url.pathname.endsWith('/v1/managers') || url.search !== '' || url.hash !== '') {
    throw refuse('does not end in /v1/managers')
  }
  if (url.username !== '' || url.password !== '') throw refuse('holds a password')
  if (url.protocol === 'ws:' && !isLoopback(url.hostname)) throw refuse('is ws:// and not of this machine')
  return { kind: 'websocket', url: url.href }
}
