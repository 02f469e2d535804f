/** `/v1/backends`: the trusted identities of managers (docs/design/backends.md). */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'

import type { Backend } from '../../model/backend.ts'
import { backendStatuses } from '../../model/backend.ts'
import { MusterError } from '../../model/errors.ts'
import { timeText } from '../time-text.ts'
import { checked, isStorable, plainText } from '../validation.ts'
import type { BackendContext, OfBackend } from './backend-requests.ts'
import { idOf, noQuery, pathOf } from './backend-requests.ts'
import { certificateRoutes, shownCertificate } from './certificates.ts'

const description = z.string().max(2000).refine(isStorable, 'must hold no control characters')
const address = z.string().max(255).refine(isStorable, 'must hold no control characters')

const newBackend = z.strictObject({
  name: plainText(255),
  description: description.default(''),
  address: address.default(''),
  region: plainText(128).optional(),
})
const changes = z.strictObject({
  name: plainText(255).optional(),
  description: description.optional(),
  address: address.optional(),
})
const listQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(10),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  status: z.enum(backendStatuses).optional(),
  connected: z.enum(['true', 'false']).optional(),
  name: plainText(255).optional(),
})
const removeQuery = z.strictObject({ force: z.enum(['true', 'false']).default('false') })
const auditQuery = z.strictObject({
  backend: plainText(255).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
const tokenBody = z
  .strictObject({ expires_in_s: z.number().int().min(60).max(86_400).default(900) })
  .default({ expires_in_s: 900 })
const terminateBody = z.strictObject({
  reason: z.enum(['certificate-revoked', 'user']),
  agents: z.enum(['kill', 'drain']).default('kill'),
})
const nothing = z.strictObject({}).optional()

const read = { config: { access: 'read' } } as const
const operate = { config: { access: 'operate' } } as const
const credentials = { config: { access: 'operate', limit: 'credentials' } } as const
const open = { config: { access: 'open' } } as const

export function backendRoutes(app: FastifyInstance, context: BackendContext): void {
  const { backends } = context

  app.post('/v1/backends', operate, async (request, reply) => {
    const { region = null, ...rest } = checked(newBackend, request.body)
    const made = await backends.create({ ...rest, regionId: region }, request.caller)
    return reply.code(201).header('location', pathOf(made.id)).send(shown(context, made))
  })

  app.get('/v1/backends', read, async (request) => {
    const { limit, offset, status, connected, name } = checked(listQuery, request.query)
    const found = await backends.list({
      limit,
      offset,
      ...(status !== undefined && { status }),
      ...(connected !== undefined && { isConnected: connected === 'true' }),
      ...(name !== undefined && { name }),
    })
    return { total: found.total, limit, offset, backends: found.backends.map((one) => shown(context, one)) }
  })

  app.get('/v1/backends/:id', read, async (request: OfBackend) => {
    checked(noQuery, request.query)
    const backend = await backends.read(idOf(request))
    const host = backend.hostId === null ? undefined : await context.store.readHost(backend.hostId)
    return {
      ...shown(context, backend),
      certificates: backend.certificates.map((one) => shownCertificate(one, context.clock.now())),
      host: host && { id: host.id, region: host.regionId, status: host.status, capacity: host.capacity },
      agents: (host?.agents ?? []).map(({ id, status, port, userId, sessionId }) => ({
        ...{ id, status, port, user_id: userId, session_id: sessionId },
      })),
    }
  })

  app.put('/v1/backends/:id', operate, async (request: OfBackend) => {
    const { name, description, address } = checked(changes, request.body)
    const changed = {
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description }),
      ...(address !== undefined && { address }),
    }
    return shown(context, await backends.update(idOf(request), changed, request.caller))
  })

  app.delete('/v1/backends/:id', operate, async (request: OfBackend, reply) => {
    const { force } = checked(removeQuery, request.query)
    await backends.remove(idOf(request), force === 'true', request.caller)
    return reply.code(204).send()
  })

  app.post('/v1/backends/:id/tokens', credentials, async (request: OfBackend, reply) => {
    const { expires_in_s } = checked(tokenBody, request.body ?? undefined)
    const { token, expiresAt } = await backends.createToken(idOf(request), expires_in_s, request.caller)
    return reply.code(201).send({
      token,
      expires_at: timeText(expiresAt),
      fleet_id: backends.fleetId,
      ca_pins: backends.ca.pins,
      daemons: backends.daemons,
    })
  })

  certificateRoutes(app, context)
  lifeRoutes(app, context)

  app.get('/v1/backends/:id/info', read, async (request: OfBackend, reply) => {
    checked(noQuery, request.query)
    return sendInfo(reply, await backends.info(idOf(request)))
  })

  app.post('/v1/backends/:id/info/refresh', operate, async (request: OfBackend, reply) => {
    checked(nothing, request.body ?? undefined)
    return sendInfo(reply, await backends.refreshInfo(idOf(request)))
  })

  app.get('/v1/audit', read, async (request) => {
    const { backend, limit } = checked(auditQuery, request.query)
    const entries = await backends.audit({ limit, ...(backend !== undefined && { backendId: backend }) })
    return {
      audit: entries.map(({ at, actor, act, backendId, serial, details }) => ({
        ...{ at: timeText(at), actor, act, backend: backendId, serial, details },
      })),
    }
  })

  // Public by nature: whoever checks a certificate needs them and has no secret of ours.
  app.get('/v1/pki/ca', open, (_request, reply) =>
    reply.header('content-type', 'application/x-pem-file').send(backends.ca.pem),
  )
  app.get('/v1/pki/crl', open, async (_request, reply) =>
    reply.header('content-type', 'application/pkix-crl').send(await backends.crl()),
  )
}

function lifeRoutes(app: FastifyInstance, { backends }: BackendContext): void {
  app.post('/v1/backends/:id/terminate', operate, async (request: OfBackend, reply) => {
    const { reason, agents } = checked(terminateBody, request.body)
    await backends.terminate(idOf(request), { reason, agents, actor: request.caller })
    return reply.code(204).send()
  })

  app.post('/v1/backends/:id/enable', operate, async (request: OfBackend, reply) => {
    checked(nothing, request.body ?? undefined)
    await backends.enable(idOf(request), request.caller)
    return reply.code(204).send()
  })

  // Prism's own path, for its users' scripts: the one state change by GET, so neither HEAD nor a prefetch may do it.
  app.get<{ Params: { id: string; type: string } }>(
    '/backends/terminate/:id/:type',
    { ...operate, exposeHeadRoute: false },
    async (request, reply) => {
      checked(noQuery, request.query)
      const reason = request.params.type === '0' ? 'certificate-revoked' : 'user'
      if (request.params.type !== '0' && request.params.type !== '1') {
        throw new MusterError('invalid-request', 'the type is 0 (certificate revocation) or 1 (user)')
      }
      if (/prefetch|prerender/i.test(String(request.headers['sec-purpose'] ?? request.headers['purpose']))) {
        throw new MusterError('invalid-request', 'a termination is not fetched ahead of its time')
      }
      await backends.terminate(idOf(request), { reason, agents: 'kill', actor: request.caller })
      return reply.code(204).send()
    },
  )
}

/** The bytes as they are: their numbers may be too long for a double. */
function sendInfo(reply: FastifyReply, info: Buffer): FastifyReply {
  return reply.header('content-type', 'application/json; charset=utf-8').send(info)
}

function shown({ backends }: BackendContext, backend: Backend) {
  return {
    id: backend.id,
    name: backend.name,
    description: backend.description,
    address: backend.address,
    status: backend.status,
    reason: backend.reason,
    connected: backend.connectedAt !== null,
    connected_at: timeText(backend.connectedAt),
    last_seen_at: timeText(backends.lastSeen(backend)),
    region: backend.regionId,
    launch_id: backend.launchId,
    host_id: backend.hostId,
    info_at: timeText(backend.infoAt),
    created_at: timeText(backend.createdAt),
  }
}
