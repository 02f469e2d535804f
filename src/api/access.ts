/** Who may do what. Every route says its access in its config; one that does not is refused at start. */
import { hash, timingSafeEqual } from 'node:crypto'

import type { FastifyInstance, FastifyRequest } from 'fastify'

import { MusterError } from '../model/errors.ts'
import type { Claims, TokenVerifier } from './tokens.ts'
import { unauthorized } from './tokens.ts'

/**
 * `open`: anybody. `user`: a token, for what is one's own. `read`: the admin secret, or a token whose role is operator
 * or viewer. `operate`: the admin secret, or a token whose role is operator. `hook`: the webhooks' own secret.
 */
type Access = 'open' | 'user' | 'read' | 'operate' | 'hook'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
  interface FastifyRequest {
    /** Who asks: a token's user, or `admin`; empty on open routes and webhooks. */
    caller: string
  }
}

const roles: Readonly<Record<'read' | 'operate', ReadonlySet<string>>> = {
  read: new Set(['operator', 'viewer']),
  operate: new Set(['operator']),
}

export interface Secrets {
  readonly admin: string
  /** Any of them opens the webhooks; none: there are no webhooks. */
  readonly hooks: readonly string[]
}

export function guardRoutes(app: FastifyInstance, secrets: Secrets, tokens: TokenVerifier): void {
  const isAdminSecret = secretComparison([secrets.admin])
  const isHookSecret = secretComparison(secrets.hooks)
  app.decorateRequest('caller', '')
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined) throw new Error(`${String(method)} ${url} does not say who may use it`)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    // Nobody's route has no config: it is answered 404 to everybody.
    const access = request.routeOptions.config.access ?? 'open'
    if (access === 'open') {
      done()
      return
    }
    if (access === 'hook') {
      const isKnown = isHookSecret(request.headers['x-muster-hook-secret'])
      done(secrets.hooks.length === 0 ? noHooks() : isKnown ? undefined : wrongHookSecret())
      return
    }
    const given = request.headers['x-muster-admin-secret']
    if (given !== undefined && access !== 'user') {
      request.caller = 'admin'
      done(isAdminSecret(given) ? undefined : unauthorized())
      return
    }
    const admit = (claims: Claims): void => {
      request.caller = claims.userId
      done(mayPass(claims, access) ? undefined : forbidden(access))
    }
    try {
      const claims = tokens.verify(bearerOf(request))
      if (claims instanceof Promise) claims.then(admit, done)
      else admit(claims)
    } catch (error) {
      done(error as Error)
    }
  })
}

function mayPass(claims: Claims, access: Exclude<Access, 'open' | 'hook'>): boolean {
  return access === 'user' || (claims.role !== undefined && roles[access].has(claims.role))
}

function bearerOf(request: FastifyRequest): string {
  const match = /^Bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')
  if (match?.[1] === undefined) throw unauthorized()
  return match[1]
}

function forbidden(access: 'user' | 'read' | 'operate'): MusterError {
  const wanted = access === 'read' ? 'operator or viewer' : 'operator'
  return new MusterError('forbidden', `the token's role claim must be ${wanted}`)
}

function noHooks(): MusterError {
  return new MusterError('not-found', 'there are no webhooks here: MUSTER_HOOK_SECRET is not set')
}

function wrongHookSecret(): MusterError {
  return new MusterError(
    'unauthorized',
    'the header x-muster-hook-secret must hold the secret of the webhooks',
  )
}

/** Compares hashes: of equal length whatever is given, and in constant time, also when one of several is right. */
function secretComparison(secrets: readonly string[]): (given: string | string[] | undefined) => boolean {
  const expected = secrets.map((secret) => hash('sha256', secret, 'buffer'))
  return (given) => {
    if (typeof given !== 'string') return false
    const found = hash('sha256', given, 'buffer')
    return expected.map((one) => timingSafeEqual(found, one)).includes(true)
  }
}
