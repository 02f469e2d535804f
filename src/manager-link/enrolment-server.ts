/**
 * The one route for who has a token and no certificate: `POST /enrol`, on TLS connections that asked for it by ALPN.
 * Strangers speak here, so everything is small and short: one request a connection, a body of 16 KiB, 15 s in all.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { z } from 'zod'

import type { Clock } from '../lib/clock.ts'
import type { ErrorCode } from '../model/errors.ts'
import { errorCodes, MusterError } from '../model/errors.ts'
import { EnrolmentLimits } from './enrolment-limits.ts'
import type { EnrolmentAnswer, EnrolmentRequest } from './enrolment.ts'
import type { RefusalLog } from './refusal-log.ts'

export interface EnrolmentServerOptions {
  readonly enrol: (request: EnrolmentRequest) => Promise<EnrolmentAnswer>
  /** Enrolments of one address in a minute that may come to nothing. */
  readonly failuresPerMinute: number
  readonly refusals: RefusalLog
  readonly clock: Pick<Clock, 'now' | 'after'>
}

export interface EnrolmentServer {
  /** Takes a connection whose handshake is over. @returns false when there are too many. */
  take(socket: Duplex, address: string): boolean
  stop(): void
}

interface Problem {
  readonly code: ErrorCode
  readonly detail: string
}

const largestBody = 16 * 1024
const lifetimeMs = 15_000
const mostConnections = 512
const mostOfAddress = 128

/** What PostgreSQL takes as text. */
const storable = /^[^\p{Cc}\p{Cs}]*$/u
const body = z.strictObject({
  token: z.string().min(1).max(200),
  cloud_id: z.string().max(300).regex(storable),
  address: z.string().max(255).regex(storable),
  csr: z.string().min(1).max(12_000),
})

const refused: Problem = {
  code: 'forbidden',
  detail:
    'this token lets nobody enrol here: it is unknown, expired or spent, or is for another machine or key',
}
const standby: Problem = {
  code: 'unavailable',
  detail: 'this daemon cannot enrol anybody now; try again, or another daemon',
}
const tooMany: Problem = {
  code: 'rate-limited',
  detail: 'too many enrolments from this address came to nothing; wait a minute',
}

export function createEnrolmentServer(options: EnrolmentServerOptions): EnrolmentServer {
  const { clock } = options
  const open = new Map<Duplex, string>()
  const limits = new EnrolmentLimits(options.failuresPerMinute, clock)
  const server = createServer(
    // Nobody's next request is waited for, and headers are few.
    { maxHeaderSize: 8 * 1024, keepAlive: false, requestTimeout: 0, headersTimeout: 0 },
    (request, response) =>
      void answer({ ...options, limits }, request, response, open.get(request.socket) ?? ''),
  )
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('upgrade', (_request, socket) => socket.destroy())
  return {
    take: (socket, address) => {
      const ofAddress = [...open.values()].filter((other) => other === address).length
      if (open.size >= mostConnections || ofAddress >= mostOfAddress) return false
      open.set(socket, address)
      const cancel = clock.after(lifetimeMs, () => socket.destroy())
      socket.once('close', () => {
        cancel()
        open.delete(socket)
      })
      server.emit('connection', socket)
      return true
    },
    stop: () => {
      for (const socket of open.keys()) socket.destroy()
    },
  }
}

async function answer(
  { enrol, refusals, limits }: EnrolmentServerOptions & { readonly limits: EnrolmentLimits },
  request: IncomingMessage,
  response: ServerResponse,
  from: string,
): Promise<void> {
  response.on('error', () => undefined)
  let giveBack: (() => void) | undefined
  try {
    const asked = await read(request)
    if ('code' in asked) {
      send(response, asked)
      return
    }
    const { token, cloud_id: cloudId, address, csr } = asked
    giveBack = limits.begin(from)
    if (giveBack === undefined) {
      refusals.refused(from, 'enrolment: too many')
      send(response, tooMany)
      return
    }
    const enrolled = await enrol({ token, cloudId, address, csr })
    if (enrolled === 'standby') {
      giveBack()
      send(response, standby)
    } else if ('refused' in enrolled) {
      const { refused: why, ...details } = enrolled
      refusals.refused(from, `enrolment: ${why}`, { ...details, cloudId })
      send(response, refused)
    } else {
      giveBack()
      const { backendId, certificate, ca, expiresAt } = enrolled
      const expires_at = new Date(expiresAt).toISOString()
      write(response, 200, 'application/json', { backend_id: backendId, certificate, ca, expires_at })
    }
  } catch (error) {
    if (error instanceof MusterError && error.code === 'invalid-request') {
      send(response, invalid(error.message))
      return
    }
    giveBack?.()
    refusals.refused(from, 'enrolment: failed', { err: error })
    send(response, standby)
  }
}

async function read(request: IncomingMessage): Promise<z.output<typeof body> | Problem> {
  if (request.url !== '/enrol') return { code: 'not-found', detail: 'there is only POST /enrol' }
  if (request.method !== 'POST') {
    return { code: 'method-not-allowed', detail: 'there is only POST /enrol' }
  }
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    return { code: 'unsupported-media-type', detail: 'the body must be application/json' }
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestBody) {
      return { code: 'payload-too-large', detail: `a body has at most ${largestBody} bytes` }
    }
    chunks.push(chunk)
  }
  const parsed = body.safeParse(jsonOf(Buffer.concat(chunks)))
  if (parsed.success) return parsed.data
  // Names of fields only: what was sent holds a secret.
  const fields = new Set(parsed.error.issues.map((issue) => issue.path.join('.') || 'the body'))
  return invalid(`the body must be {token, cloud_id, address, csr}; wrong: ${[...fields].join(', ')}`)
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

function invalid(detail: string): Problem {
  return { code: 'invalid-request', detail }
}

function send(response: ServerResponse, { code, detail }: Problem): void {
  const status = errorCodes[code]
  const problem = { type: `urn:muster:error:${code}`, status, code, detail }
  write(response, status, 'application/problem+json', problem)
}

function write(response: ServerResponse, status: number, type: string, content: unknown): void {
  if (response.headersSent || response.destroyed) return
  const body = JSON.stringify(content)
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 503 && { 'retry-after': '2' }),
    ...(status === 429 && { 'retry-after': '60' }),
  })
  response.end(body)
}
