import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { z } from 'zod'

import type { AssignAnswer, MissOutcome, Seat, ServedVersions } from '../../assign/seams.ts'
import type { AssignRequest } from '../../model/assignment.ts'
import { MusterError } from '../../model/errors.ts'
import type { ApiContext } from '../context.ts'
import { hangUpSignal } from '../hang-up.ts'
import type { Problem } from '../problems.ts'
import { sendProblem } from '../problems.ts'
import { RateLimiter } from '../rate-limiter.ts'
import { checked, plainText } from '../validation.ts'

const windowMs = 10_000

const assignBody = z.strictObject({
  /** Nearest first. */
  regions: z
    .array(plainText(128))
    .min(1)
    .max(16)
    .refine((ids) => new Set(ids).size === ids.length, 'names a region twice'),
  /** Of the image; absent: whatever the region gives. */
  version: plainText(128).optional(),
  /** The session's id, if the caller wants to choose it; a fresh UUID otherwise. */
  session_id: z
    .string()
    .regex(/^[A-Za-z0-9._:~-]{1,128}$/, 'must be 1 to 128 letters, digits or . _ : ~ -')
    .optional(),
  /** How long to wait for capacity, in milliseconds. */
  wait_ms: z.int().min(0).max(25_000).default(0),
})
const assignInput = z.object({
  body: assignBody,
  'Idempotency-Key': z
    .string()
    .regex(/^[\x20-\x7e]{1,255}$/, 'must be 1 to 255 printable ASCII characters')
    .optional(),
})

const misses: Readonly<Record<Exclude<MissOutcome, 'version-mismatch'>, Problem>> = {
  'no-capacity': { code: 'no-capacity', detail: 'no agent is free in any of the regions' },
  'user-already-active': {
    code: 'user-already-active',
    detail: 'the user has as many agents as the region allows, or this session already',
  },
  'region-not-enabled': { code: 'region-not-enabled', detail: 'none of the regions is known and enabled' },
  'given-up': { code: 'unavailable', detail: 'the client hung up' },
}

/** `POST /v1/assign` */
export function assignRoute(app: FastifyInstance, context: ApiContext): void {
  const { assigner, health, metrics, clock, assignLimit } = context
  const limiter = new RateLimiter({ max: assignLimit, windowMs, clock })
  const onRequest: onRequestHookHandler = (request, reply, done) => {
    const { isExceeded, remaining, resetS } = limiter.take(request.caller)
    void reply
      .header('x-ratelimit-limit', assignLimit)
      .header('x-ratelimit-remaining', remaining)
      .header('x-ratelimit-reset', resetS)
    if (!isExceeded) {
      done()
      return
    }
    metrics.countAssign('rate-limited', 0)
    void reply.header('retry-after', resetS)
    done(new MusterError('rate-limited', `more than ${assignLimit} assign requests in ${windowMs / 1000} s`))
  }
  app.post('/v1/assign', { config: { access: 'user', limit: 'own' }, onRequest }, async (request, reply) => {
    const startedAt = clock.now()
    let answer: AssignAnswer | undefined
    let fault = 'internal'
    try {
      if (!health.ready) throw new MusterError('unavailable', `not ready: ${health.cause ?? 'unknown'}`)
      const wanted = assignRequest(request.caller, request.body, request.headers['idempotency-key'])
      answer = await assigner.assign(wanted, hangUpSignal(reply))
    } catch (error) {
      if (error instanceof MusterError) fault = error.code
      throw error
    } finally {
      metrics.countAssign(answer?.outcome ?? fault, (clock.now() - startedAt) / 1000)
    }
    if (answer.outcome === 'assigned') return shownSeat(answer.seat)
    const problem = answer.outcome === 'version-mismatch' ? mismatch(answer.served) : misses[answer.outcome]
    return sendProblem(request, reply, problem)
  })
}

/** With what the client may ask for instead: in all, and in each region that takes requests. */
function mismatch(served: ServedVersions): Problem {
  const versions = [...new Set(Object.values(served).flat())]
  const those = versions.length === 0 ? 'none at the moment' : versions.join(', ')
  return {
    code: 'version-mismatch',
    detail: `no region serves this version; served: ${those}`,
    also: { served_versions: versions, served_in: served },
  }
}

function assignRequest(userId: string, given: unknown, key: unknown): AssignRequest {
  const { body, 'Idempotency-Key': idempotencyKey } = checked(assignInput, {
    body: given,
    'Idempotency-Key': key,
  })
  return {
    userId,
    regions: body.regions,
    waitMs: body.wait_ms,
    ...(body.version !== undefined && { version: body.version }),
    ...(body.session_id !== undefined && { sessionId: body.session_id }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  }
}

function shownSeat(seat: Seat) {
  return {
    agent_id: seat.agentId,
    host_id: seat.hostId,
    region: seat.regionId,
    address: seat.address,
    port: seat.port,
    session_id: seat.sessionId,
  }
}
