/** A request to the GraphQL API, whoever brought it. Errors in a request are answers too: Hasura gives them with status 200. */
import type { Logger } from '../../lib/logger.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import { parseExactJson } from '../schema/exact-json.ts'
import type { Authenticate } from './authentication.ts'
import type { Headers } from './headers.ts'
import type { GraphqlService } from './graphql-service.ts'
import { errorText } from './graphql-service.ts'

export interface GraphqlRouteOptions {
  readonly authenticate: Authenticate
  readonly service: GraphqlService
  readonly logger: Logger
}

export interface IncomingRequest {
  readonly headers: Headers
  /** Undefined for a body that is too large. Nobody's is read who may not ask. */
  readonly readBody: () => Promise<string | undefined>
  readonly hasHungUp: () => boolean
}

/** Never throws. */
export type GraphqlRoute = (
  request: IncomingRequest,
) => Promise<{ readonly status: number; readonly body: string }>

export function createGraphqlRoute({ authenticate, service, logger }: GraphqlRouteOptions): GraphqlRoute {
  return async ({ headers, readBody, hasHungUp }) => {
    try {
      const session = await authenticate(headers)
      const text = await readBody()
      if (text === undefined) {
        const error = new HasuraError('bad-request', 'the request body is larger than 4 MiB')
        return { status: 413, body: errorText(error) }
      }
      return { status: 200, body: await service.answer(session, parseBody(text)) }
    } catch (error) {
      // A caller that hung up is no fault of ours.
      if (!(error instanceof HasuraError) && !hasHungUp()) logger.error({ err: error }, 'a request failed')
      return { status: 200, body: errorText(hasuraErrorOf(error)) }
    }
  }
}

/** @throws HasuraError `invalid-json` */
function parseBody(text: string): unknown {
  try {
    return parseExactJson(text)
  } catch (error) {
    throw new HasuraError('invalid-json', error instanceof Error ? error.message : String(error), '$', error)
  }
}
