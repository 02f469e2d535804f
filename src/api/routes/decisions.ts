import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import type { ApiContext } from '../context.ts'
import { timeText } from '../time-text.ts'
import { checked, plainText } from '../validation.ts'

const decisionsQuery = z.strictObject({
  region: plainText(512).optional(),
  /** Id of a host, agent or machine. */
  target: plainText(512).optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(1000))
    .default(100),
})

/** `GET /v1/decisions`, newest first */
export function decisionRoutes(app: FastifyInstance, { store }: ApiContext): void {
  app.get('/v1/decisions', { config: { access: 'read' } }, async (request) => {
    const { region, target, limit } = checked(decisionsQuery, request.query)
    const decisions = await store.readDecisions({
      limit,
      ...(region !== undefined && { region }),
      ...(target !== undefined && { target }),
    })
    return {
      decisions: decisions.map((decision) => ({
        id: decision.id,
        region: decision.regionId,
        turn: decision.turn,
        place: decision.place,
        kind: decision.kind,
        target: decision.target,
        reason: decision.reason,
        causes: decision.causes,
        inputs: decision.inputs,
        repeats: decision.repeats,
        created_at: timeText(decision.createdAt),
        updated_at: timeText(decision.updatedAt),
      })),
    }
  })
}
