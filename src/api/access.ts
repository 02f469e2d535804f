/**
 * Who may do what, and how often. Every route says its access in its config; one that does not is refused at start. Who a
 * request is from is told by a secret or a verified token alone: no other header counts.
 */
import { hash, timingSafeEqual } from 'node:crypto'

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

import { MusterError } from '../model/errors.ts'
import type { RateLimiter, Use } from './rate-limiter.ts'
import { addressKey } from './rate-limiter.ts'
import type { Claims, TokenVerifier } from './tokens.ts'
import { unauthorized } from './tokens.ts'

/**
 * `open`: anybody. `user`: a token, for what is one's own. `read`: the admin secret, or a token whose role is operator
 * or viewer. `operate`: the admin secret, or a token whose role is operator. `hook`: the webhooks' own secret.
 */
export type Access = 'open' | 'user' | 'read' | 'operate' | 'hook'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /**
     * Which limit holds, beside that of failed logins: `credentials` for routes that give out tokens or certificates,
     * `own` for one that counts by itself; that of all requests unless it is said.
     */
    limit?: 'credentials' | 'own'
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
  /** Any of them is the administrator's: two while one replaces the other. */
  readonly admin: readonly string[]
  /** Any of them opens the webhooks; none: there are no webhooks. */
  readonly hooks: readonly string[]
}

export interface Limits {
  /** Wrong secrets and tokens, by address. */
  readonly failures: RateLimiter
  /** All requests, by caller; by address where nobody has said who they are. */
  readonly requests: RateLimiter
  /** Requests for tokens and certificates, by caller. */
  readonly credentials: RateLimiter
}

export interface Doors {
  readonly secrets: Secrets
  readonly tokens: TokenVerifier
  readonly limits: Limits
}

export function guardRoutes(app: FastifyInstance, { secrets, tokens, limits }: Doors): void {
  const isAdminSecret = secretComparison(secrets.admin)
  const isHookSecret = secretComparison(secrets.hooks)

  /** Past an address's limit of failures no credential is looked at: the right one would be told from the wrong ones. */
  const mayTry = (request: FastifyRequest, reply: FastifyReply): void => {
    const use = limits.failures.look(`address ${addressKey(request.ip)}`)
    if (use.isExceeded) throw tooMany(reply, use, 'too many wrong secrets or tokens came from this address')
  }
  const take = (limiter: RateLimiter, reply: FastifyReply, by: string): void => {
    const use = limiter.take(by)
    if (!use.isExceeded) return
    throw tooMany(reply, use, `one caller may ask ${limiter.max} times in ${limiter.windowMs / 1000} s`)
  }
  const count = (request: FastifyRequest, reply: FastifyReply, by: string): void => {
    const { limit } = request.routeOptions.config
    if (limit !== 'own') take(limit === 'credentials' ? limits.credentials : limits.requests, reply, by)
  }
  const countAddress = (request: FastifyRequest, reply: FastifyReply): void =>
    take(limits.requests, reply, `address ${addressKey(request.ip)}`)
  const refuse = (request: FastifyRequest, error: unknown): Error => {
    if (error instanceof MusterError && error.code === 'unauthorized') {
      limits.failures.take(`address ${addressKey(request.ip)}`)
    }
    return error as Error
  }

  /** Undefined when who asks is known at once. @throws MusterError `unauthorized`, `rate-limited`, `not-found` */
  const admit = (
    request: FastifyRequest,
    reply: FastifyReply,
    access: Exclude<Access, 'open'>,
  ): Promise<void> | undefined => {
    if (access === 'hook') {
      if (secrets.hooks.length === 0) throw noHooks()
      mayTry(request, reply)
      if (!isHookSecret(request.headers['x-muster-hook-secret'])) throw refuse(request, wrongHookSecret())
      // No further limit: what a Hasura has to tell is a hint, told once, and merged with others of its region.
      return undefined
    }
    const given = request.headers['x-muster-admin-secret']
    if (given !== undefined && access !== 'user') {
      mayTry(request, reply)
      if (!isAdminSecret(given)) throw refuse(request, unauthorized())
      request.caller = 'admin'
      count(request, reply, 'admin')
      return undefined
    }
    const token = bearerOf(request)
    if (token === undefined) {
      countAddress(request, reply)
      throw unauthorized()
    }
    const enter = (claims: Claims): void => {
      request.caller = claims.userId
      count(request, reply, `user ${claims.userId}`)
      if (!mayPass(claims, access)) throw forbidden(access)
    }
    const known = tokens.recall(token)
    if (known !== undefined) {
      enter(known)
      return undefined
    }
    mayTry(request, reply)
    return tokens.verify(token).then(enter, (error: unknown) => {
      throw refuse(request, error)
    })
  }

  app.decorateRequest('caller', '')
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined) throw new Error(`${String(method)} ${url} does not say who may use it`)
  })
  app.addHook('onRequest', (request, reply, done) => {
    // Nobody's route has no config: it is answered 404 to everybody.
    const access = request.routeOptions.config.access ?? 'open'
    try {
      if (access === 'open') {
        countAddress(request, reply)
        done()
        return
      }
      const admitting = admit(request, reply, access)
      if (admitting === undefined) done()
      else admitting.then(() => done(), done)
    } catch (error) {
      done(error as Error)
    }
  })
}

function mayPass(claims: Claims, access: Exclude<Access, 'open' | 'hook'>): boolean {
  return access === 'user' || (claims.role !== undefined && roles[access].has(claims.role))
}

function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

function tooMany(reply: FastifyReply, { resetS }: Use, words: string): MusterError {
  void reply.header('retry-after', resetS)
  return new MusterError('rate-limited', words)
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
