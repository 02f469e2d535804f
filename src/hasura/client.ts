/**
 * The one door to the database: GraphQL over HTTP, and the same endpoint's socket for subscriptions. Whether a real
 * Hasura or the embedded endpoint answers cannot be told apart from here.
 */
import { ClientError, GraphQLClient } from 'graphql-request'

import type { ErrorCode } from '../model/errors.ts'
import { MusterError } from '../model/errors.ts'
import { createKeepAliveFetch } from './keep-alive-fetch.ts'

export interface HasuraClientOptions {
  /** `http://host:port/v1/graphql` */
  readonly url: string
  readonly adminSecret: string
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs?: number
}

export interface HasuraClient {
  readonly url: string
  readonly adminSecret: string
  /** @throws MusterError `database-unavailable`, `database-refused` or `schema-outdated` */
  request<T>(document: string, variables?: Readonly<Record<string, unknown>>): Promise<T>
}

/** What an engine says when the database behind it is away: tried again, never taken for an answer. */
const awayCodes = new Set([
  'unexpected',
  'postgres-error',
  'internal-error',
  'database-unavailable',
  'concurrent-update',
])

export function createHasuraClient(options: HasuraClientOptions): HasuraClient {
  const client = new GraphQLClient(options.url, {
    headers: { 'x-hasura-admin-secret': options.adminSecret },
    excludeOperationName: true,
    fetch: createKeepAliveFetch(),
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
  const first = error.response.errors?.[0]
  const code = first === undefined ? 'unexpected' : engineCodeOf(first.extensions)
  const message = first?.message ?? `HTTP ${error.response.status}`
  const [ours, retryable] = classify(code, message, error.response.status)
  return new MusterError(ours, `${url} answers ${code}: ${message}`, { cause: error, retryable })
}

/** The engine's own code of an error, `unexpected` when it gave none. */
export function engineCodeOf(extensions: unknown): string {
  if (typeof extensions === 'object' && extensions !== null && 'code' in extensions) {
    if (typeof extensions.code === 'string') return extensions.code
  }
  return 'unexpected'
}

function classify(code: string, message: string, status: number): [ErrorCode, boolean] {
  if (code === 'validation-failed' && /not found in type/.test(message)) return ['schema-outdated', false]
  if (awayCodes.has(code) || status >= 500) return ['database-unavailable', true]
  return ['database-refused', false]
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
