/**
 * The HTTP API: the only place that knows HTTP. Routes are small and say who may use them; everything that goes wrong
 * is a problem (problems.ts). While it stops, what is under way is finished and what comes is refused.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'

import { MusterError } from '../model/errors.ts'
import type { Doors } from './access.ts'
import { guardRoutes } from './access.ts'
import type { ApiContext } from './context.ts'
import type { TrustedProxies } from './headers.ts'
import { addSecurityHeaders, proxyTrust } from './headers.ts'
import { createMetrics } from './metrics.ts'
import { createErrorHandler, problemOf, problemText, sendProblem } from './problems.ts'
import { RateLimiter } from './rate-limiter.ts'
import type { RouteMethods } from './other-methods.ts'
import { refuseOtherMethods } from './other-methods.ts'
import { assignRoute } from './routes/assign.ts'
import { backendRoutes } from './routes/backends.ts'
import { decisionRoutes } from './routes/decisions.ts'
import { hookRoutes } from './routes/hooks.ts'
import { hostRoutes } from './routes/hosts.ts'
import { probeRoutes } from './routes/probes.ts'
import { regionRoutes } from './routes/regions.ts'
import { rolloutRoutes } from './routes/rollouts.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { sweepRoute } from './routes/sweep.ts'
import type { TokenRules } from './tokens.ts'
import { TokenVerifier } from './tokens.ts'

const largestBody = 1024 * 1024
const longestId = 512
const longestStopMs = 8_000
const minuteMs = 60_000

export interface ApiOptions extends Omit<ApiContext, 'metrics'> {
  /** The address to listen on. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly adminSecret: string
  /** Counts as much, while the other takes its place. */
  readonly previousAdminSecret?: string | undefined
  /** Of the webhooks; without one there are none. */
  readonly hookSecrets: readonly string[]
  readonly jwt: TokenRules
  readonly trustedProxies?: TrustedProxies | undefined
  /** Requests of one caller in 10 s; 3,000 unless told. */
  readonly requestLimit?: number
  /** Wrong secrets and tokens from one address in a minute; 100 unless told. */
  readonly failedLoginLimit?: number
  /** Requests of one caller for tokens and certificates in a minute; 120 unless told. */
  readonly credentialLimit?: number
  /** How long a request's headers, and all of it, may take to come, in milliseconds; 10,000 and 30,000 unless told. */
  readonly patience?: { readonly headersMs: number; readonly requestMs: number }
  /** Takes requests to upgrade; without it there are none. Stopped before the API is. */
  readonly upgrades?: {
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
    stop(): void
  }
}

export interface RunningApi {
  readonly url: string
  readonly port: number
  /** Requests under way are finished, for 8 s at most; whoever waits for an agent is answered `unavailable` at once. */
  stop(): Promise<void>
}

/** @throws MusterError `port-in-use` */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { app, stop } = await createApi(options)
  try {
    await app.listen({ host: options.host, port: options.port })
  } catch (error) {
    await app.close()
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') throw error
    throw new MusterError(
      'port-in-use',
      `port ${options.port} is in use by another program: set PORT to a free one`,
      { cause: error },
    )
  }
  const address = app.server.address()
  const port = address === null || typeof address === 'string' ? options.port : address.port
  // An address that means "any" is none that a client can dial.
  const reachable = ['0.0.0.0', '::'].includes(options.host) ? '127.0.0.1' : options.host
  return { url: `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`, port, stop }
}

/** The API without its port, for tests. */
export async function createApi(
  options: ApiOptions,
): Promise<{ app: FastifyInstance; routes: RouteMethods; stop: () => Promise<void> }> {
  const { assigner, clock, logger, view, health } = options
  const { headersMs, requestMs } = options.patience ?? { headersMs: 10_000, requestMs: 30_000 }
  const metrics = createMetrics({
    ...{ view, health, launches: options.launches, sweep: options.sweep },
    waitingUsers: (id) => assigner.waitingUsers(id),
  })
  const context: ApiContext = { ...options, metrics }
  const app = fastify({
    logger: false,
    bodyLimit: largestBody,
    trustProxy: proxyTrust(options.trustedProxies),
    requestTimeout: requestMs,
    keepAliveTimeout: 65_000,
    http: { headersTimeout: headersMs, connectionsCheckingInterval: headersMs / 2 },
    return503OnClosing: false,
    routerOptions: { maxParamLength: longestId },
    requestIdHeader: false,
    genReqId: requestId,
    clientErrorHandler: answerUnparsed,
    // A path that cannot be read comes to no route, and by no hook.
    frameworkErrors: (error, request, reply) => {
      addSecurityHeaders(request, reply)
      sendProblem(request, reply, problemOf(error))
    },
  })
  let isStopping = false
  app.addHook('onRequest', (request, reply, done) => {
    addSecurityHeaders(request, reply)
    done(isStopping ? new MusterError('unavailable', 'the daemon is stopping') : undefined)
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isStopping) void reply.header('connection', 'close')
    done(null, payload)
  })
  app.setErrorHandler(createErrorHandler(logger))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, {
      code: 'not-found',
      detail: `there is no ${request.method} ${pathOf(request.url)}`,
    }),
  )
  acceptOnlyJson(app)
  guardRoutes(app, doorsOf(options))
  const routes = refuseOtherMethods(app, () => {
    assignRoute(app, context)
    sessionRoutes(app, context)
    hostRoutes(app, context)
    regionRoutes(app, context)
    decisionRoutes(app, context)
    rolloutRoutes(app, context)
    hookRoutes(app, context)
    probeRoutes(app, context)
    if (options.sweep !== undefined) sweepRoute(app, { ...context, sweep: options.sweep })
    if (options.backends !== undefined) backendRoutes(app, { ...context, backends: options.backends })
  })
  const { upgrades } = options
  if (upgrades !== undefined) {
    app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      upgrades.upgrade(request, socket, head),
    )
  }
  await app.ready()

  const stop = async (): Promise<void> => {
    isStopping = true
    assigner.stop()
    upgrades?.stop()
    const cancel = clock.after(longestStopMs, () => app.server.closeAllConnections())
    await app.close()
    cancel()
  }
  return { app, routes, stop }
}

function doorsOf({
  adminSecret,
  previousAdminSecret,
  hookSecrets,
  jwt,
  clock,
  ...limits
}: ApiOptions): Doors {
  const { requestLimit = 3_000, failedLoginLimit = 100, credentialLimit = 120 } = limits
  return {
    secrets: {
      admin: [adminSecret, ...(previousAdminSecret === undefined ? [] : [previousAdminSecret])],
      hooks: hookSecrets,
    },
    tokens: new TokenVerifier(jwt, clock),
    limits: {
      requests: new RateLimiter({ max: requestLimit, windowMs: 10_000, clock }),
      failures: new RateLimiter({ max: failedLoginLimit, windowMs: minuteMs, clock }),
      credentials: new RateLimiter({ max: credentialLimit, windowMs: minuteMs, clock }),
    },
  }
}

/** A body is JSON or there is none; an empty one is none, whatever its type says. */
function acceptOnlyJson(app: FastifyInstance): void {
  // Nothing is unpacked, so nothing small can become large.
  app.addHook('onRequest', (request, _reply, done) => {
    const encoding = request.headers['content-encoding']
    if (encoding === undefined || encoding === 'identity') done()
    else done(new MusterError('unsupported-media-type', 'a body must not be compressed'))
  })
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parse(request, body as string, done)
  })
}

/** The caller's own id when it is a sane one, so that its logs and ours meet. */
function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID()
}

/** What is not even HTTP, or came too slowly, has no request to answer. */
function answerUnparsed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const body = problemText(
    { code: 'invalid-request', detail: 'this is no HTTP request that can be read' },
    randomUUID(),
  )
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/problem+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? url
}
