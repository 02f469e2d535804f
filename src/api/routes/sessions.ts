import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'
import type { ApiContext } from '../context.ts'
import { timeText } from '../time-text.ts'
import { checked, plainText } from '../validation.ts'

const releaseBody = z.strictObject({ session_id: plainText(128) })
const noQuery = z.strictObject({})

/** `GET /v1/sessions` and `POST /v1/release`: one's own sessions only, so another's session is not found. */
export function sessionRoutes(app: FastifyInstance, { assigner }: ApiContext): void {
  app.get('/v1/sessions', { config: { access: 'user' } }, async (request) => {
    checked(noQuery, request.query)
    const sessions = await assigner.sessions(request.caller)
    return {
      sessions: sessions.map((session) => ({
        session_id: session.sessionId,
        agent_id: session.agentId,
        host_id: session.hostId,
        region: session.regionId,
        address: session.address,
        port: session.port,
        status: session.status,
        ends_at: timeText(session.endsAt),
      })),
    }
  })

  app.post('/v1/release', { config: { access: 'user' } }, async (request) => {
    const { session_id } = checked(releaseBody, request.body)
    const [agent] = await assigner.release(request.caller, session_id)
    if (agent === undefined) throw new MusterError('not-found', 'you have no such session')
    return { session_id, agent_id: agent.id, host_id: agent.hostId, region: agent.regionId }
  })
}
