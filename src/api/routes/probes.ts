import type { FastifyInstance } from 'fastify'

import type { ApiContext } from '../context.ts'
import { sendProblem } from '../problems.ts'

/** `GET /healthz` (the process answers), `GET /readyz` (it does its work, or why not) and `GET /metrics` */
export function probeRoutes(
  app: FastifyInstance,
  { health, metrics, metricsOpen = false }: ApiContext,
): void {
  app.get('/healthz', { config: { access: 'open' } }, () => ({ status: 'alive' }))

  app.get('/readyz', { config: { access: 'open' } }, (request, reply) => {
    if (health.ready) return { status: 'ready' }
    const cause = health.cause ?? 'unknown'
    return sendProblem(request, reply, { code: 'unavailable', detail: cause, also: { cause } })
  })

  app.get('/metrics', { config: { access: metricsOpen ? 'open' : 'read' } }, async (_request, reply) => {
    void reply.header('content-type', metrics.registry.contentType)
    return metrics.registry.metrics()
  })
}
