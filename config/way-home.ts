/** The way home: where managers on other machines find this daemon, as far as the settings alone tell. */
import { isIPv4, isIPv6 } from 'node:net'

import type { Settings } from './schema.ts'

type Told = Pick<
  Settings,
  'MUSTER_MANAGER_ADVERTISE' | 'MUSTER_MANAGER_HOST' | 'MUSTER_MANAGER_PORT' | 'MUSTER_HTTP_HOST'
>

/** Why machines elsewhere must not be launched; undefined when an address was given, whatever it is. */
export function noWayHome({
  MUSTER_MANAGER_ADVERTISE: addresses,
  MUSTER_MANAGER_PORT: port,
}: Told): string | undefined {
  if (addresses !== undefined) return undefined
  return (
    'managers on other machines cannot find the daemon: set MUSTER_MANAGER_ADVERTISE to the address at which they ' +
    `reach it, such as muster.example.com:${port} or wss://muster.example.com/v1/managers`
  )
}

export interface WayHome {
  /** What keeps every machine elsewhere from coming in. */
  readonly faults: readonly string[]
  /** What may be meant so, and often is not. */
  readonly hints: readonly string[]
}

/** For `check-config --live`: all that can be said without asking the network. */
export function examineWayHome(settings: Told): WayHome {
  const missing = noWayHome(settings)
  if (missing !== undefined) return { faults: [missing], hints: [] }
  const addresses = settings.MUSTER_MANAGER_ADVERTISE ?? []
  const usable = addresses.filter((address) => !meansItself(hostOf(address)))
  if (usable.length === 0) {
    const words = `MUSTER_MANAGER_ADVERTISE is ${addresses.join(', ')}, which means each machine itself: managers elsewhere cannot come in`
    return { faults: [words], hints: [] }
  }
  const hints = addresses
    .filter((address) => meansItself(hostOf(address)))
    .map((address) => `MUSTER_MANAGER_ADVERTISE: ${address} is of no use to other machines`)
  for (const address of usable) {
    const host = hostOf(address)
    if (isPrivate(host)) {
      hints.push(
        `MUSTER_MANAGER_ADVERTISE: ${host} is a private address: machines must be in the same network`,
      )
    } else if (!host.includes('.') && !isIPv6(host)) {
      hints.push(
        `MUSTER_MANAGER_ADVERTISE: ${host} is a name without a domain, which other networks rarely know`,
      )
    }
  }
  for (const [name, isUsed] of [
    ['MUSTER_MANAGER_HOST', usable.some((address) => !address.includes('://'))],
    ['MUSTER_HTTP_HOST', usable.some((address) => address.includes('://'))],
  ] as const) {
    const listensOn = settings[name]
    if (isUsed && isLoopback(listensOn)) {
      hints.push(
        `${name} is ${listensOn}, where only this machine comes in: set 0.0.0.0, unless something forwards to it`,
      )
    }
  }
  return { faults: [], hints }
}

/** Names among the addresses, for who wants to look them up. */
export function namesOf(addresses: readonly string[]): readonly string[] {
  return [...new Set(addresses.map(hostOf))].filter(
    (host) => !isIPv4(host) && !isIPv6(host) && !meansItself(host),
  )
}

/** Of host:port, [address]:port or a URL. */
function hostOf(address: string): string {
  const host = address.includes('://')
    ? new URL(address).hostname
    : address.slice(0, address.lastIndexOf(':'))
  return host.replace(/^\[|\]$/g, '')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\./.test(host)
}

function meansItself(host: string): boolean {
  return isLoopback(host) || host === '0.0.0.0' || host === '::'
}

/** RFC 1918, RFC 6598, link-local and unique local addresses. */
function isPrivate(host: string): boolean {
  if (isIPv6(host)) return /^(fe[89ab]|f[cd])/i.test(host)
  return (
    isIPv4(host) &&
    /^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/.test(
      host,
    )
  )
}
