/** `/v1/backends/{id}/certificates`: what a backend proves itself with. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'

import type { IssuedCertificate } from '../../backends/backends.ts'
import type { Certificate } from '../../model/backend.ts'
import { timeText } from '../time-text.ts'
import { checked, plainText } from '../validation.ts'
import type { BackendContext, OfBackend } from './backend-requests.ts'
import { idOf, noQuery, pathOf } from './backend-requests.ts'

const csrBody = z.strictObject({ csr: z.string().min(1).max(8192).optional() }).default({})
const downloadBody = z.strictObject({ token: plainText(128) })
const revokeBody = z
  .strictObject({ reason: z.enum(['certificate-revoked', 'superseded']).optional() })
  .default({})

const read = { config: { access: 'read' } } as const
const operate = { config: { access: 'operate' } } as const
const credentials = { config: { access: 'operate', limit: 'credentials' } } as const

type OfCertificate = FastifyRequest<{ Params: { id: string; serial: string } }>

export function certificateRoutes(app: FastifyInstance, context: BackendContext): void {
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

export function shownCertificate(certificate: Certificate, now: number) {
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
