import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'

import { createWebSocketStream, WebSocketServer } from 'ws'

import type { Authority } from '../../src/trust/authority.ts'
import { readRequest } from '../../src/trust/certificate-request.ts'
import type { IssuedCertificate } from '../../src/trust/issue.ts'
import { managersServerName } from '../../src/trust/issue.ts'
import { makeAuthority } from '../../src/trust/make-authority.ts'
import { openAuthority } from '../../src/trust/open-authority.ts'
import { serialOf } from '../../src/trust/serial.ts'
import { caPassphrase } from './an-authority.ts'

export const fleetId = 'fleet-1'

/** An authority of a test's own, or another's. */
export async function anAuthority(lifetimeS = 86_400): Promise<Authority> {
  const files = await makeAuthority(caPassphrase, Date.now())
  return openAuthority({ ...files, passphrase: caPassphrase }, { now: Date.now(), lifetimeS })
}

export interface EnrolBody {
  readonly token: string
  readonly cloud_id: string
  readonly address: string
  readonly csr: string
}

/** Who enrolled and who may connect: what the database is to a daemon, here as plain as can be. */
export class FakeTrust {
  readonly authority: Authority
  readonly enrolments: EnrolBody[] = []
  /** SHA-256 of each key that asked for a renewal. */
  readonly renewals: string[] = []
  readonly revoked = new Set<string>()
  /** Serials of the streams, in order. */
  readonly connections: string[] = []
  readonly issued: IssuedCertificate[] = []
  /** Whose daemon it is. */
  readonly fleetId: string
  /** Whatever token is brought is good, for any key. */
  takesAnyToken = false
  /** Tokens that are good; each is bound to the first key that it comes with. */
  readonly tokens = new Map<string, string | undefined>([['good-token', undefined]])
  /** So many answers are lost, of enrolments that were carried out. */
  loses = 0
  /** So many enrolments are answered by 503. */
  unavailable = 0
  renewalError = ''
  lifetimeS: number | undefined
  now: () => number = Date.now

  constructor(authority: Authority, ofFleet = fleetId) {
    this.authority = authority
    this.fleetId = ofFleet
  }

  async issue(csr: string): Promise<IssuedCertificate> {
    const { spkiHash } = readRequest(csr)
    const known = this.issued.find((one) => one.spkiHash === spkiHash)
    if (known !== undefined) return known
    const lifetime = this.lifetimeS === undefined ? {} : { lifetimeS: this.lifetimeS }
    const made = await this.authority.issueForHost({
      ...{ csr, fleetId: this.fleetId, backendId: 'backend-1', now: this.now() },
      ...lifetime,
    })
    this.issued.push(made)
    return made
  }

  async renew(csr: string): Promise<{ certificate: string; ca: string; error: string }> {
    this.renewals.push(readRequest(csr).spkiHash)
    if (this.renewalError !== '') return { certificate: '', ca: '', error: this.renewalError }
    const { pem, chainPem } = await this.issue(csr)
    return { certificate: pem + chainPem, ca: this.authority.trusted.join(''), error: '' }
  }

  async enrol(body: EnrolBody): Promise<{ status: number; body: object } | undefined> {
    this.enrolments.push(body)
    if (this.unavailable > 0) {
      this.unavailable -= 1
      return { status: 503, body: { code: 'unavailable', detail: 'standing by' } }
    }
    const key = readRequest(body.csr).spkiHash
    const isGood =
      this.takesAnyToken || (this.tokens.has(body.token) && (this.tokens.get(body.token) ?? key) === key)
    if (!isGood) return { status: 403, body: { code: 'forbidden', detail: 'this token lets nobody enrol' } }
    this.tokens.set(body.token, key)
    const { pem, chainPem, notAfter } = await this.issue(body.csr)
    if (this.loses > 0) {
      this.loses -= 1
      return undefined
    }
    const ca = this.authority.trusted.join('')
    const expires_at = new Date(notAfter).toISOString()
    return { status: 200, body: { backend_id: 'backend-1', certificate: pem + chainPem, ca, expires_at } }
  }
}

export interface FakePort {
  readonly port: number
  /** Where the same is inside a WebSocket. */
  readonly webSocketUrl: string
  /** Every byte that was said by those who would enrol, as text. */
  readonly said: () => string
  /** Cuts every connection. */
  cut(): void
  stop(): void
}

/** The managers' port, and the WebSocket that leads to it. `admit` gets those with a certificate. */
export async function startFakePort(
  trust: FakeTrust,
  admit: (socket: TLSSocket) => void,
  port = 0,
): Promise<FakePort> {
  const { certPem, keyPem } = await trust.authority.issueServer({
    names: [managersServerName(trust.fleetId)],
    now: Date.now(),
  })
  const http = createHttpServer((request, response) => void answer(trust, request, response))
  const sockets = new Set<{ destroy(): void }>()
  let said = ''
  const tls = createTlsServer({
    ...{ cert: certPem, key: keyPem, ca: [...trust.authority.trusted], minVersion: 'TLSv1.3' },
    ...{ requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2', 'muster-enrol/1'] },
  })
  tls.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    if (socket.alpnProtocol === 'muster-enrol/1') {
      http.emit('connection', socket)
      // Only now: the parser would take the bytes from under an earlier listener.
      socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
      return
    }
    const certificate = socket.getPeerX509Certificate()
    const serial = certificate === undefined ? '' : serialOf(certificate)
    const isOver = (certificate?.validToDate.getTime() ?? 0) <= trust.now()
    if (!socket.authorized || isOver || trust.revoked.has(serial)) {
      socket.destroy()
      return
    }
    trust.connections.push(serial)
    admit(socket)
  })
  const webSockets = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/v1/managers' })
  webSockets.on('connection', (webSocket) => {
    const stream = createWebSocketStream(webSocket)
    sockets.add(stream)
    stream.on('error', () => undefined)
    stream.on('close', () => sockets.delete(stream))
    tls.emit('connection', stream)
  })
  await Promise.all([
    new Promise((resolve) => webSockets.once('listening', resolve)),
    new Promise<void>((resolve) => tls.listen(port, '127.0.0.1', resolve)),
  ])
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (tls.address() as AddressInfo).port,
    webSocketUrl: `ws://127.0.0.1:${(webSockets.address() as AddressInfo).port}/v1/managers`,
    said: () => said,
    cut,
    stop: () => {
      tls.close()
      webSockets.close()
      cut()
    },
  }
}

async function answer(trust: FakeTrust, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const outcome = await trust.enrol((await json(request)) as EnrolBody)
  if (outcome === undefined) {
    request.socket.destroy()
    return
  }
  response.writeHead(outcome.status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(outcome.body))
}
