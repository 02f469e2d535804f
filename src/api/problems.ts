/** Every answer that is not a success: `application/problem+json` (RFC 9457) with one of the codes of src/model/errors.ts. */
import type { FastifyReply, FastifyRequest } from 'fastify'

import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../model/errors.ts'
import { errorCodes, MusterError } from '../model/errors.ts'

export interface Problem {
  readonly code: ErrorCode
  /** What happened, in words for a person. */
  readonly detail: string
  /** Faults of the request, all of them. */
  readonly errors?: readonly string[]
  /** Further members of the answer. */
  readonly also?: Readonly<Record<string, unknown>>
}

// Of an error that is none of the caller's business only this is said; the log has the rest, under the request's id.
const internal: Problem = { code: 'internal', detail: 'something went wrong here; the log says what' }

// The codes from 'config-invalid' on are the operator's.
const codes = Object.keys(errorCodes)
const callersCodes: ReadonlySet<string> = new Set(codes.slice(0, codes.indexOf('config-invalid')))

const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
}

const unavailableBecause: Partial<Readonly<Record<ErrorCode, string>>> = {
  'database-unavailable': 'the database cannot be reached',
  'database-denied': 'the database refuses the admin secret of this daemon',
  'schema-outdated': "the database's schema is not the one of this version",
}

/** Seconds after which the same request may fare better. */
const retryAfter: Partial<Readonly<Record<ErrorCode, number>>> = { 'no-capacity': 5, unavailable: 1 }

export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const status = errorCodes[problem.code]
  const seconds = retryAfter[problem.code]
  if (seconds !== undefined && !reply.hasHeader('retry-after')) void reply.header('retry-after', seconds)
  if (problem.code === 'unauthorized') void reply.header('www-authenticate', 'Bearer')
  return reply
    .code(status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(problemText(problem, request.id))
}

/** The body, for where there is no reply to send it with. */
export function problemText({ code, detail, errors, also }: Problem, requestId: string): string {
  return JSON.stringify({
    type: `urn:muster:error:${code}`,
    title: titleOf(code),
    status: errorCodes[code],
    code,
    detail,
    request_id: requestId,
    ...(errors !== undefined && errors.length > 0 && { errors }),
    ...also,
  })
}

/** What a thrown error is called on the wire. */
export function problemOf(error: unknown): Problem {
  if (error instanceof MusterError) {
    const reason = unavailableBecause[error.code]
    if (reason !== undefined) return { code: 'unavailable', detail: reason }
    if (!callersCodes.has(error.code)) return internal
    return { code: error.code, detail: error.message, errors: error.details }
  }
  if (!(error instanceof Error) || !('statusCode' in error)) return internal
  const code = 'code' in error && typeof error.code === 'string' ? fastifyCodes[error.code] : undefined
  if (code !== undefined) return { code, detail: error.message }
  const status = Number(error.statusCode)
  return status >= 400 && status < 500 ? { code: 'invalid-request', detail: error.message } : internal
}

/** Handles whatever a route throws. */
export function createErrorHandler(logger: Logger) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = problemOf(error)
    if (problem.code === 'internal') {
      const route = `${request.method} ${request.routeOptions.url ?? '?'}`
      logger.error({ err: error, requestId: request.id, route }, 'request failed')
    }
    return sendProblem(request, reply, problem)
  }
}

function titleOf(code: ErrorCode): string {
  const words = code.replaceAll('-', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
