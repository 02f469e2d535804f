/** What the doors, HTTP and WebSocket, share: a request in, JSON text out; or a subscription followed. */
import { z } from 'zod'

import type { Logger } from '../../lib/logger.ts'
import type { GraphqlRequest } from '../execution/documents.ts'
import type { Executor, Operation } from '../execution/executor.ts'
import type { HasuraError } from '../execution/hasura-error.ts'
import { HasuraError as Refusal, payloadOf } from '../execution/hasura-error.ts'
import type { Session } from '../execution/session.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import type { LiveQueries } from '../live/live-queries.ts'
import { subscriptionOf } from '../live/subscription.ts'
import type { Follower } from '../live/watches.ts'
import type { RoleSchema } from '../schema/build-schema.ts'

export interface Role {
  readonly executor: Executor
  readonly roleSchema: RoleSchema
}

export interface GraphqlService {
  /** One request or a list of them, as parsed JSON; the answer is always text of the same shape. */
  answer(session: Session, body: unknown): Promise<string>
  /** @throws HasuraError */
  read(session: Session, body: unknown): Operation
  /** A query's or mutation's answer. @throws whatever it failed with: `refusalOf` has the words for it */
  run(session: Session, operation: Operation): Promise<string>
  /** Gives a function that stops following. @throws HasuraError */
  follow(session: Session, operation: Operation, follower: Follower): () => void
  /** What a client is told of an error; what it is not told is logged. */
  refusalOf(error: unknown): HasuraError
}

export interface GraphqlServiceOptions {
  readonly roleOf: (session: Session) => Role
  readonly live: LiveQueries
  readonly logger: Logger
}

const requestSchema = z.object({
  query: z.string(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  operationName: z.string().nullish(),
})

export function createGraphqlService({ roleOf, live, logger }: GraphqlServiceOptions): GraphqlService {
  const read: GraphqlService['read'] = (session, body) =>
    roleOf(session).executor.read(requestOf(body), session)

  const run: GraphqlService['run'] = (session, operation) => roleOf(session).executor.run(operation)

  const refusalOf: GraphqlService['refusalOf'] = (error) => {
    const known = hasuraErrorOf(error)
    // What the client is not told, somebody must be.
    if (known.code === 'unexpected')
      logger.warn({ err: known.cause ?? known, path: known.path }, known.message)
    return known
  }
  const answerOne = async (session: Session, body: unknown): Promise<string> => {
    try {
      return await run(session, read(session, body))
    } catch (error) {
      return errorText(refusalOf(error))
    }
  }
  return {
    read,
    run,
    refusalOf,
    answer: async (session, body) => {
      if (!Array.isArray(body)) return await answerOne(session, body)
      const answers: string[] = []
      for (const each of body) answers.push(await answerOne(session, each))
      return `[${answers.join(',')}]`
    },
    follow: (session, operation, follower) => {
      const { executor, roleSchema } = roleOf(session)
      return live.follow(subscriptionOf(executor, roleSchema, operation), follower)
    },
  }
}

export const errorText = (error: HasuraError): string => JSON.stringify({ errors: [payloadOf(error)] })

/** @throws HasuraError `parse-failed` */
function requestOf(body: unknown): GraphqlRequest {
  const parsed = requestSchema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const path = `$${(issue?.path ?? []).map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')}`
  throw new Refusal(
    'parse-failed',
    `the request is not {query, variables, operationName}: ${issue?.message ?? ''}`,
    path,
  )
}
