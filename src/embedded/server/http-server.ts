/** `POST /v1/graphql` and its neighbours, over HTTP. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable, pipeline } from 'node:stream'

import type { Logger } from '../../lib/logger.ts'
import { MusterError } from '../../model/errors.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import { hasuraErrorOf } from '../execution/sql-error-codes.ts'
import type { BackUp } from './backup-route.ts'
import { backupPath } from './backup-route.ts'
import type { GraphqlRoute } from './graphql-route.ts'
import { errorText } from './graphql-service.ts'
import type { Origins } from './origins.ts'

export const graphqlPath = '/v1/graphql'
const mostBytes = 4 * 1024 * 1024
/** A request comes within these, or its connection is closed. */
const timeouts = { keepAliveTimeout: 60_000, headersTimeout: 10_000, requestTimeout: 60_000 }
/** The version of the API that is spoken, in the form in which clients look for it. */
const version = JSON.stringify({ server_type: 'ce', version: 'v2.48.0-muster' })

export interface HttpOptions {
  readonly graphql: GraphqlRoute
  readonly backUp: BackUp
  readonly origins: Origins
  readonly logger: Logger
}

interface Answer {
  readonly status: number
  readonly body: string | Readable
  readonly type?: string
}

export function createHttpServer({ graphql, backUp, origins, logger }: HttpOptions): Server {
  const backup = async (request: IncomingMessage): Promise<Answer> => {
    try {
      return { status: 200, body: await backUp(request), type: 'application/gzip' }
    } catch (error) {
      if (!(error instanceof HasuraError)) logger.error({ err: error }, 'a backup failed')
      return { status: 400, body: errorText(hasuraErrorOf(error)) }
    }
  }
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const path = request.url?.split('?')[0]
    if (path === graphqlPath && request.method === 'POST') {
      const headers = origins.trusted(request.headers)
      return await graphql({
        headers,
        readBody: () => readBody(request),
        hasHungUp: () => request.errored !== null,
      })
    }
    if (path === backupPath && request.method === 'POST') return await backup(request)
    if (path === '/healthz') return { status: 200, body: 'OK', type: 'text/plain; charset=utf-8' }
    if (path === '/v1/version') return { status: 200, body: version }
    return {
      status: 404,
      body: JSON.stringify({ path: '$', error: 'resource does not exist', code: 'not-found' }),
    }
  }
  return createServer(timeouts, (request, response) => {
    const cors = origins.corsHeaders(request.headers)
    const wanted = request.headers['access-control-request-headers']
    if (request.method === 'OPTIONS' && 'access-control-allow-origin' in cors && wanted !== undefined) {
      const preflight = {
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': wanted,
      }
      response.writeHead(204, { ...cors, ...preflight, 'access-control-max-age': '1728000' }).end()
      return
    }
    answer(request).then(
      (given) => send(request, response, given, { ...cors, 'x-content-type-options': 'nosniff' }),
      () => response.destroy(),
    )
  })
}

/** Undefined for one that is too large. By events: an iterator would cost more than the rest of reading. */
function readBody(request: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= mostBytes) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      request.removeAllListeners('data').pause()
      resolve(undefined)
    })
    request.on('end', () => {
      const [first] = chunks
      resolve(
        chunks.length === 1 && first !== undefined
          ? first.toString('utf8')
          : Buffer.concat(chunks).toString('utf8'),
      )
    })
    request.on('error', reject)
    request.on('close', () => {
      if (!request.complete) reject(new Error('the connection ended before the request'))
    })
  })
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  more: Readonly<Record<string, string>>,
): void {
  if (answer.body instanceof Readable) {
    response.writeHead(answer.status, { ...more, 'content-type': answer.type })
    // One that breaks ends the connection without its last chunk, so that nobody takes it for whole.
    pipeline(answer.body, response, () => undefined)
    return
  }
  response.writeHead(answer.status, {
    ...more,
    'content-type': answer.type ?? 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(answer.body),
    // What is left of a body that was not read would be taken for the next request.
    ...(request.complete || request.method === 'GET' ? {} : { connection: 'close' }),
  })
  // As a string, so that it leaves in one piece with the headers.
  response.end(answer.body)
}

/** Gives the port. @throws MusterError `port-in-use` */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      if (!('code' in error) || error.code !== 'EADDRINUSE') {
        reject(error)
        return
      }
      const words = `port ${port} on ${host} is in use: choose another with MUSTER_GRAPHQL_PORT`
      reject(new MusterError('port-in-use', words, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
  return (server.address() as AddressInfo).port
}
