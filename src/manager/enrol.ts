/**
 * Enrolment: a token for a certificate. A stranger never hears the token: on a first connection nothing is said, only the
 * server's chain is read, and the root whose key is pinned is looked for in it; on a second one that root is the only
 * trust, so that OpenSSL decides who is there.
 */
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'

import { z } from 'zod'

import { alpn } from '../trust/judge-peer.ts'
import { checkCredentials } from './credentials.ts'
import type { Credentials } from './credentials.ts'
import { parseDaemonAddress } from './daemon-address.ts'
import { pinnedRoot, secure } from './tls.ts'
import { openWire } from './wire.ts'

export interface EnrolRequest {
  readonly fleetId: string
  /** `sha256/<base64url>`: one of these keys is the root's. */
  readonly pins: readonly string[]
  readonly token: string
  readonly cloudId: string
  /** Where users reach the agents. */
  readonly address: string
  /** PEM: PKCS#8, and the request for its certificate. */
  readonly key: string
  readonly csr: string
}

export type Enrolment =
  | { readonly kind: 'enrolled'; readonly credentials: Credentials }
  /** For ever: the token is of no use with this key. */
  | { readonly kind: 'unauthorized'; readonly message: string }
  /** For now, or at this address. */
  | { readonly kind: 'unavailable'; readonly message: string }

const answer = z.object({ certificate: z.string().max(65_536), ca: z.string().max(65_536) })
const problem = z.object({ code: z.string().optional(), detail: z.string().max(1000).optional() })
const mostAnswerBytes = 256 * 1024
/** Of each step, milliseconds. */
const stepMs = 10_000

/** Never throws. `daemon` is one daemon's address. */
export async function enrol(daemon: string, request: EnrolRequest, signal: AbortSignal): Promise<Enrolment> {
  try {
    const root = await findRoot(daemon, request, signal)
    const socket = await connect(daemon, request.fleetId, root, signal)
    const { status, body } = await post(socket, request, signal)
    return judge(request, status, body)
  } catch (error) {
    return unavailable(error instanceof Error ? error.message : String(error))
  }
}

async function findRoot(
  daemon: string,
  { fleetId, pins }: EnrolRequest,
  signal: AbortSignal,
): Promise<string> {
  const socket = await connect(daemon, fleetId, undefined, signal)
  const root = pinnedRoot(socket, pins)
  socket.destroy()
  if (root !== undefined) return root.toString()
  throw new Error(
    'what answers does not show the root that is pinned: another daemon, or somebody in between; nothing was told to it',
  )
}

async function connect(
  daemon: string,
  fleetId: string,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const wire = await openWire(parseDaemonAddress(daemon), { timeoutMs: stepMs, signal })
  return secure(wire, { fleetId, protocol: alpn.enrolment, ca, timeoutMs: stepMs })
}

async function post(
  socket: TLSSocket,
  { token, cloudId, address, csr }: EnrolRequest,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const sent = JSON.stringify({ token, cloud_id: cloudId, address, csr })
  const giveUp = AbortSignal.any([signal, AbortSignal.timeout(stepMs)])
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest({
        method: 'POST',
        path: '/enrol',
        host: 'muster.internal',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) },
        createConnection: () => socket,
        signal: giveUp,
      })
      request.once('response', resolve)
      request.once('error', reject)
      request.end(sent)
    })
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > mostAnswerBytes) socket.destroy(new Error('the answer has no end'))
    })
    const body = await text(response)
    return { status: response.statusCode ?? 0, body: parseJson(body) }
  } finally {
    socket.destroy()
  }
}

function judge({ key, pins }: EnrolRequest, status: number, body: unknown): Enrolment {
  if (status === 401 || status === 403) {
    const { detail } = problem.safeParse(body).data ?? {}
    return { kind: 'unauthorized', message: detail ?? 'the daemon refuses the enrolment token' }
  }
  if (status !== 200 && status !== 201) {
    const { code, detail } = problem.safeParse(body).data ?? {}
    return unavailable(`the daemon answers ${status} ${code ?? ''} ${detail ?? ''}`.trim())
  }
  const parsed = answer.safeParse(body)
  if (!parsed.success) return unavailable('the answer holds no certificate')
  const credentials = { key, certificate: parsed.data.certificate, ca: parsed.data.ca }
  const checked = checkCredentials(credentials)
  if (typeof checked === 'string') return unavailable(`the certificate cannot be used: ${checked}`)
  if (!pins.includes(checked.rootPin)) return unavailable('the certificate is of a root that is not pinned')
  return { kind: 'enrolled', credentials }
}

function unavailable(message: string): Enrolment {
  return { kind: 'unavailable', message }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
