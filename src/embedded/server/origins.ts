/**
 * Which pages in a browser may speak to the endpoint: those of its own origin, and of the origins that are configured (as
 * HASURA_GRAPHQL_CORS_DOMAIN lists them). Browsers name the origin of a page, other programs name none; a browser sends
 * its cookies whatever page asks, so they count only where that page's origin is one of these, and never for `*`.
 */
import type { IncomingHttpHeaders } from 'node:http'

export interface Origins {
  /** Whether a socket may be opened: no reading is refused to a page that has one. */
  readonly mayConnect: (headers: IncomingHttpHeaders) => boolean
  /** The headers that count. */
  readonly trusted: (headers: IncomingHttpHeaders) => IncomingHttpHeaders
  /** What lets a page read the answer; nothing for one that may not. */
  readonly corsHeaders: (headers: IncomingHttpHeaders) => Readonly<Record<string, string>>
}

/** `allowed`: `*`, `https://app.example.com`, or `https://*.example.com` for each name directly below. */
export function createOrigins(allowed: readonly string[]): Origins {
  const isAnyAllowed = allowed.includes('*')
  const listed = new Set(allowed.map((origin) => origin.toLowerCase()))
  const isListed = (origin: string): boolean => {
    const lower = origin.toLowerCase()
    return listed.has(lower) || listed.has(lower.replace(/^(https?:\/\/)[^.:/]+\./, '$1*.'))
  }
  const isOwn = (origin: string, host: string | undefined): boolean =>
    host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase()
  return {
    mayConnect: ({ origin, host }) =>
      origin === undefined || isAnyAllowed || isOwn(origin, host) || isListed(origin),
    trusted: (headers) => {
      const { origin, host, cookie, ...others } = headers
      if (cookie === undefined || origin === undefined || isOwn(origin, host) || isListed(origin))
        return headers
      return { ...others, origin, host }
    },
    corsHeaders: ({ origin }) => {
      if (origin === undefined) return {}
      if (isListed(origin)) {
        return {
          'access-control-allow-origin': origin,
          'access-control-allow-credentials': 'true',
          vary: 'origin',
        }
      }
      return isAnyAllowed ? { 'access-control-allow-origin': '*' } : {}
    },
  }
}
