/** `/v1/backends`: the trusted identities of managers (docs/design/backends.md). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

import type { Backend, Certificate } from '../../model/backend.ts'
import { backendStatuses } from '../../model/backend.ts'
import { MusterError } from '../../model/errors.ts'
import type { Backends, IssuedCertificate } from '../../backends/backends.ts'
import type { ApiContext } from '../context.ts'
import { timeText } from '../time-text.ts'
import { checked, isStorable, plainText } from '../validation.ts'

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
const csrBody = z.strictObject({ csr: z.string().min(1).max(8192).optional() }).default({})
const tokenBody = z
  .strictObject({ expires_in_s: z.number().int().min(60).max(86_400).default(900) })
  .default({ expires_in_s: 900 })
const downloadBody = z.strictObject({ token: plainText(128) })
const revokeBody = z
  .strictObject({ reason: z.enum(['certificate-revoked', 'superseded']).optional() })
  .default({})
const terminateBody = z.strictObject({
  reason: z.enum(['certificate-revoked', 'user']),
  agents: z.enum(['kill', 'drain']).default('kill'),
})
const nothing = z.strictObject({}).optional()
const noQuery = z.strictObject({})

const read = { config: { access: 'read' } } as const
const operate = { config: { access: 'operate' } } as const
const credentials = { config: { access: 'operate', limit: 'credentials' } } as const
const open = { config: { access: 'open' } } as const

type OfBackend = FastifyRequest<{ Params: { id: string } }>
type OfCertificate = FastifyRequest<{ Params: { id: string; serial: string } }>

type BackendContext = ApiContext & { readonly backends: Backends }

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

function certificateRoutes(app: FastifyInstance, context: BackendContext): void {
  const { backends } = context
  const sendIssued = (reply: FastifyReply, id: string, issued: IssuedCertificate): FastifyReply => {
    const { certificate, chain, ca, download } = issued
    return reply
      .code(201)
      .header('location', `${pathOf(id)}/certificates/${certificate.serial}`)
      .send({
        ...shownCertificate(certificate, context.clock.now()),
        certificate: chain,
        ca,
        ...(download && { download: { token: download.token, expires_at: timeText(download.expiresAt) } }),
      })
  }

  app.post('/v1/backends/:id/certificates', credentials, async (request: OfBackend, reply) => {
    const { csr } = checked(csrBody, request.body ?? undefined)
    const id = idOf(request)
    return sendIssued(reply, id, await backends.issue(id, { csr, actor: request.caller }))
  })

  app.get('/v1/backends/:id/certificates/:serial', read, async (request: OfCertificate) => {
    checked(noQuery, request.query)
    const found = await backends.certificate(idOf(request), request.params.serial)
    return { ...shownCertificate(found, context.clock.now()), certificate: found.pem }
  })

  app.post(
    '/v1/backends/:id/certificates/:serial/download',
    credentials,
    async (request: OfCertificate, reply) => {
      const { token } = checked(downloadBody, request.body)
      const { serial } = await backends.certificate(idOf(request), request.params.serial)
      return reply
        .header('content-type', 'application/zip')
        .header('content-disposition', `attachment; filename="backend-${serial}.zip"`)
        .send(backends.takeDownload(serial, token))
    },
  )

  app.post(
    '/v1/backends/:id/certificates/:serial/renew',
    credentials,
    async (request: OfCertificate, reply) => {
      const { csr } = checked(csrBody, request.body ?? undefined)
      const id = idOf(request)
      const { serial } = await backends.certificate(id, request.params.serial)
      return sendIssued(reply, id, await backends.issue(id, { csr, renews: serial, actor: request.caller }))
    },
  )

  app.post('/v1/backends/:id/certificates/:serial/revoke', operate, async (request: OfCertificate) => {
    const { reason = 'certificate-revoked' } = checked(revokeBody, request.body ?? undefined)
    const revoked = await backends.revoke(idOf(request), request.params.serial, reason, request.caller)
    return shownCertificate(revoked, context.clock.now())
  })
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

/** No row has an id that cannot be stored. */
function idOf({ params: { id } }: { params: { id: string } }): string {
  if (isStorable(id)) return id
  throw new MusterError('not-found', `there is no backend ${JSON.stringify(id)}`)
}

function pathOf(id: string): string {
  return `/v1/backends/${encodeURIComponent(id)}`
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

function shownCertificate(certificate: Certificate, now: number) {
  return {
    serial: certificate.serial,
    status: statusOf(certificate, now),
    issuer: certificate.issuer,
    not_before: timeText(certificate.notBefore),
    not_after: timeText(certificate.notAfter),
    first_used_at: timeText(certificate.firstUsedAt),
    retires_at: timeText(certificate.retiresAt),
    revoked_at: timeText(certificate.revokedAt),
    revoke_reason: certificate.revokeReason,
    spki_sha256: certificate.spkiHash,
  }
}

function statusOf({ revokedAt, notAfter, retiresAt }: Certificate, now: number): string {
  if (revokedAt !== null) return 'revoked'
  if (notAfter <= now) return 'expired'
  return retiresAt !== null && retiresAt <= now ? 'retired' : 'valid'
}
