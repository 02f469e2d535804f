/** `POST /v1/graphql` and its neighbours. Errors in a request are answers too: Hasura gives them with status 200. */
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Logger } from '../../lib/logger.ts'
import { MusterError } from '../../model/errors.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import { parseExactJson } from '../schema/exact-json.ts'
import type { Authenticate } from './authentication.ts'
import type { GraphqlService } from './graphql-service.ts'
import { errorText } from './graphql-service.ts'

export const graphqlPath = '/v1/graphql'
const mostBytes = 4 * 1024 * 1024
/** The version of the API that is spoken, in the form in which clients look for it. */
const version = JSON.stringify({ server_type: 'ce', version: 'v2.48.0-muster' })

export interface HttpOptions {
  readonly authenticate: Authenticate
  readonly service: GraphqlService
  readonly logger: Logger
}

export function createRequestListener({ authenticate, service, logger }: HttpOptions): RequestListener {
  const graphql = async (request: IncomingMessage): Promise<string> => {
    const session = authenticate(request.headers)
    const text = await readBody(request)
    let body: unknown
    try {
      body = parseExactJson(text)
    } catch (error) {
      throw new HasuraError(
        'invalid-json',
        error instanceof Error ? error.message : String(error),
        '$',
        error,
      )
    }
    return await service.answer(session, body)
  }
  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname === '/healthz') return send(response, 200, 'OK', 'text/plain; charset=utf-8')
    if (pathname === '/v1/version') return send(response, 200, version)
    if (pathname === graphqlPath && request.method === 'POST')
      return send(response, 200, await graphql(request))
    if (pathname === graphqlPath && request.method === 'OPTIONS') return send(response, 204, '')
    send(response, 404, JSON.stringify({ path: '$', error: 'resource does not exist', code: 'not-found' }))
  }
  return (request, response) => {
    route(request, response).catch((error: unknown) => {
      if (error instanceof BodyTooLarge) {
        response.setHeader('connection', 'close')
        return send(
          response,
          413,
          errorText(new HasuraError('bad-request', 'the request body is larger than 4 MiB')),
        )
      }
      if (request.destroyed && !request.complete) return response.destroy()
      if (!(error instanceof HasuraError)) logger.error({ err: error }, 'a request failed')
      return send(response, 200, errorText(hasuraErrorOf(error)))
    })
  }
}

class BodyTooLarge extends Error {}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new BodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'application/json; charset=utf-8',
): void {
  if (response.headersSent || response.destroyed) return
  const body = Buffer.from(text)
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.end(body)
}

/** Gives the port. @throws MusterError `port-in-use` */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const isTaken = 'code' in error && error.code === 'EADDRINUSE'
      if (!isTaken) return reject(error)
      const words = `port ${port} on ${host} is in use: choose another with MUSTER_GRAPHQL_PORT`
      reject(new MusterError('port-in-use', words, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
  return (server.address() as AddressInfo).port
}

export const newServer = (listener: RequestListener): Server =>
  createServer({ keepAliveTimeout: 60_000 }, listener)
