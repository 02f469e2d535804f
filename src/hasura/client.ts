/**
 * The one door to the database: GraphQL over HTTP, and the same endpoint's socket for subscriptions. Whether a real
 * Hasura or the embedded endpoint answers cannot be told apart from here.
 */
import { ClientError, GraphQLClient } from 'graphql-request'

import { MusterError } from '../model/errors.ts'
import { faultOf } from './engine-errors.ts'
import { createKeepAliveFetch } from './keep-alive-fetch.ts'

export interface HasuraClientOptions {
  /** `http://host:port/v1/graphql` */
  readonly url: string
  readonly adminSecret: string
  /** How requests reach the engine; over kept connections unless told. */
  readonly fetch?: typeof fetch | undefined
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs?: number
}

export interface HasuraClient {
  readonly url: string
  readonly adminSecret: string
  /** @throws MusterError `database-unavailable`, `database-denied`, `database-refused` or `schema-outdated` */
  request<T>(document: string, variables?: Readonly<Record<string, unknown>>): Promise<T>
}

export function createHasuraClient(options: HasuraClientOptions): HasuraClient {
  const client = new GraphQLClient(options.url, {
    headers: { 'x-hasura-admin-secret': options.adminSecret },
    excludeOperationName: true,
    fetch: options.fetch ?? createKeepAliveFetch(),
  })
  return {
    url: options.url,
    adminSecret: options.adminSecret,
    request: async <T>(document: string, variables: Readonly<Record<string, unknown>> = {}) => {
      try {
        return await client.request<T>({
          document,
          variables,
          signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
        })
      } catch (error) {
        throw toMusterError(error, options.url)
      }
    },
  }
}

function toMusterError(error: unknown, url: string): MusterError {
  if (!(error instanceof ClientError)) {
    return new MusterError('database-unavailable', `no answer from ${url}: ${reasonOf(error)}`, {
      cause: error,
      retryable: true,
    })
  }
  const { code, retryable, words } = faultOf(error.response)
  // Not as the cause: its words are the whole request, variables and all, and a log would have them.
  return new MusterError(code, `${url} answers ${words}`, { retryable })
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
