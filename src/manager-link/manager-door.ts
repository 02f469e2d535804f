/**
 * The managers' door: one TLS 1.3 server for what comes in on the port and inside WebSockets alike
 * (docs/design/backends.md). Everybody is asked for a certificate and judged once the handshake is over; who is let in
 * is registered with its serial and handed to gRPC, or to enrolment. There is no plaintext.
 *
 * A TLS socket does not say of which connection it is (inside a WebSocket it has no address), nor does a gRPC stream: so
 * each arrival is an asynchronous context, in which all that its socket calls back runs.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer as createPort } from 'node:net'
import type { Server as Port, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import type { Server as TlsServer, TLSSocket } from 'node:tls'

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { AllowedCertificate, AllowList } from '../trust/allow-list.ts'
import type { Authority } from '../trust/authority.ts'
import { Connections } from '../trust/connections.ts'
import type { CloseReason } from '../trust/connections.ts'
import { alpn, judgePeer } from '../trust/judge-peer.ts'
import { serialOf } from '../trust/serial.ts'
import { AcceptLimits } from './accept-limits.ts'
import { alarm } from './alarm.ts'
import type { EnrolmentServer, EnrolmentServerOptions } from './enrolment-server.ts'
import { createEnrolmentServer } from './enrolment-server.ts'
import type { GrpcServer } from './grpc-server.ts'
import { startGrpcServer } from './grpc-server.ts'
import { listen } from './manager-port.ts'
import { RefusalLog } from './refusal-log.ts'
import { ServerIdentity } from './server-identity.ts'
import { SharedUse } from './shared-use.ts'

export interface DoorLimits {
  /** Handshakes at once in all, a quarter of them from one address. */
  readonly handshakes: number
  /** Connections that one address may open in a second. */
  readonly acceptsPerSecond: number
  /** Enrolments of one address in a minute that may come to nothing. */
  readonly failedEnrolments: number
  /** How long a handshake may take, in milliseconds. */
  readonly handshakeMs: number
}

export interface DoorOptions {
  readonly host: string
  readonly authority: () => Pick<Authority, 'trusted' | 'isIssuerOf' | 'issueServer'>
  readonly allowList: AllowList
  readonly fleetId: () => string
  readonly limits: DoorLimits
  readonly enrol: EnrolmentServerOptions['enrol']
  readonly clock: Clock
  readonly logger: Logger
}

/** A connection that was let in. */
export interface ManagerConnection extends AllowedCertificate {
  readonly address: string
  destroy(reason: CloseReason | 'replaced'): void
}

export interface DoorEvents {
  /** A stream of a connection that has its right. */
  readonly onStream: (stream: ManagerStream, connection: ManagerConnection) => void
  /**
   * The connection's right was taken. Whether something is being said to it, for which it is given `farewellMs` more;
   * else it is closed at once.
   */
  readonly onRightTaken: (connection: ManagerConnection) => boolean
}

/** What a last word takes to leave this process. */
const farewellMs = 20
/** Of one certificate: its manager's, and what is left of those before. */
const mostOfSerial = 8

interface Arrival {
  readonly address: string
  /** Its handshake is over. */
  readonly secured: () => void
  connection?: ManagerConnection
}

export class ManagerDoor {
  readonly #options: DoorOptions
  readonly #events: DoorEvents
  readonly #arrivals = new AsyncLocalStorage<Arrival>()
  readonly #limits: AcceptLimits
  readonly #refusals: RefusalLog
  readonly #connections: Connections<ManagerConnection>
  readonly #enrolment: EnrolmentServer
  readonly #identity: ServerIdentity
  readonly #sockets = new Set<Duplex>()
  #open: { readonly port: Port; readonly tls: TlsServer; readonly grpc: GrpcServer } | undefined

  constructor(options: DoorOptions, events: DoorEvents) {
    const { allowList, clock, logger, limits } = options
    this.#options = options
    this.#events = events
    this.#limits = new AcceptLimits({
      handshakes: limits.handshakes,
      perSecond: limits.acceptsPerSecond,
      clock,
    })
    this.#refusals = new RefusalLog(clock, logger)
    const shared = new SharedUse({ clock, logger, countOf: (serial) => this.#connections.of(serial).length })
    this.#connections = new Connections({
      allowList,
      clock,
      yieldTurn: setImmediate,
      onShared: (certificate, connections) => shared.noticed(certificate, connections),
    })
    this.#enrolment = createEnrolmentServer({
      ...{ enrol: options.enrol, failuresPerMinute: limits.failedEnrolments },
      ...{ refusals: this.#refusals, clock },
    })
    this.#identity = new ServerIdentity(options)
  }

  /**
   * @param port 0 for any free one.
   * @throws MusterError `port-in-use`, `authority-unusable`
   */
  async start(port: number): Promise<void> {
    const context = await this.#identity.start((next) => this.#open?.tls.setSecureContext(next))
    const tls = createTlsServer({
      ...context,
      requestCert: true,
      // Who enrols has none; everybody else is judged when the handshake is over, and told apart in the log.
      rejectUnauthorized: false,
      ALPNProtocols: [alpn.managers, alpn.enrolment],
      handshakeTimeout: this.#options.limits.handshakeMs,
    })
    tls.on('secureConnection', (socket) => this.#secured(socket))
    tls.on('tlsClientError', (error, socket) => {
      const code = codeOf(error)
      // Who left by himself was not refused; that is how a manager reads the chain before it enrols.
      if (code !== 'ECONNRESET') this.#refusals.refused(socket.remoteAddress ?? '', `handshake: ${code}`)
      socket.destroy()
    })
    const grpc = startGrpcServer((stream) => this.#opened(stream))
    const listening = createPort({ noDelay: true }, (socket) => this.take(socket, socket.remoteAddress ?? ''))
    try {
      await listen(listening, port, this.#options.host)
    } catch (error) {
      this.#identity.stop()
      grpc.stop()
      throw error
    }
    this.#open = { port: listening, tls, grpc }
  }

  /** Nobody is let in any more; what was said last leaves, then every connection is closed. */
  async stop(): Promise<void> {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    this.#identity.stop()
    const closed = new Promise((resolve) => open.port.close(resolve))
    await this.#options.clock.sleep(farewellMs)
    this.#connections.closeAll()
    this.#enrolment.stop()
    open.grpc.stop()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** While started. */
  get port(): number | undefined {
    const address = this.#open?.port.address()
    return typeof address === 'object' ? address?.port : undefined
  }

  /** Connections of managers. */
  get size(): number {
    return this.#connections.size
  }

  /** Whether it still has its right. */
  has(connection: ManagerConnection): boolean {
    return this.#connections.has(connection)
  }

  /** A stream of bytes on which somebody is about to begin a handshake; `address` is whose it is. */
  take(bytes: Duplex, address: string): void {
    bytes.on('error', () => undefined)
    const endHandshake = this.#open === undefined ? undefined : this.#limits.begin(address)
    if (this.#open === undefined || endHandshake === undefined) {
      if (this.#open !== undefined) this.#refusals.refused(address, 'too-many-handshakes')
      reset(bytes)
      return
    }
    this.#sockets.add(bytes)
    const { clock, limits } = this.#options
    // Beside the TLS socket's own: what carries it may be no socket, and must not stay when the handshake comes to nothing.
    const cancel = clock.after(limits.handshakeMs + farewellMs, () => bytes.destroy())
    bytes.once('close', () => {
      cancel()
      endHandshake()
      this.#sockets.delete(bytes)
    })
    const arrival: Arrival = {
      address,
      secured: () => {
        cancel()
        endHandshake()
      },
    }
    const { tls } = this.#open
    this.#arrivals.run(arrival, () => void tls.emit('connection', bytes))
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', () => undefined)
    const arrival = this.#arrivals.getStore()
    if (arrival === undefined || this.#open === undefined) {
      socket.destroy()
      return
    }
    arrival.secured()
    const { allowList, clock } = this.#options
    const peer = socket.getPeerX509Certificate()
    const serial = peer === undefined ? undefined : serialOf(peer)
    const endsAt = peer?.validToDate.getTime() ?? 0
    const listed = serial === undefined ? 'unknown' : allowList.lookup(serial)
    const verdict = judgePeer({
      alpn: socket.alpnProtocol,
      tlsVersion: socket.getProtocol(),
      authorized: socket.authorized,
      authorizationError: socket.authorizationError,
      hasCertificate: peer !== undefined,
      isIssuerTrusted: peer !== undefined && this.#options.authority().isIssuerOf(peer),
      names: peer?.subjectAltName,
      fleetId: this.#options.fleetId(),
      // OpenSSL does not check a resumed session again, and a row may say another end than the certificate.
      allowed: endsAt <= clock.now() ? 'expired' : listed,
    })
    if ('refuse' in verdict) {
      this.#refusals.refused(arrival.address, verdict.refuse, { serial })
      socket.destroy()
    } else if (verdict.admit === 'enrolment') {
      if (this.#enrolment.take(socket, arrival.address)) return
      this.#refusals.refused(arrival.address, 'too-many-enrolments')
      socket.destroy()
    } else {
      const { certificate } = verdict
      this.#admit(socket, arrival, { ...certificate, notAfter: Math.min(certificate.notAfter, endsAt) })
    }
  }

  #admit(socket: TLSSocket, arrival: Arrival, certificate: AllowedCertificate): void {
    const { clock } = this.#options
    const connection: ManagerConnection = {
      ...certificate,
      address: arrival.address,
      destroy: (reason) => {
        if (reason === 'removed' && this.#events.onRightTaken(connection)) {
          clock.after(farewellMs, () => socket.destroy())
        } else {
          socket.destroy()
        }
      },
    }
    if (this.#connections.of(certificate.serial).length >= mostOfSerial) {
      this.#refusals.refused(arrival.address, 'too-many-of-certificate', { serial: certificate.serial })
      socket.destroy()
      return
    }
    socket.once('close', () => {
      this.#connections.release(connection)
      cancelEnd()
    })
    const cancelEnd = alarm(clock, certificate.notAfter, () => {
      this.#connections.release(connection)
      socket.destroy()
    })
    const admitted = this.#connections.admit(connection, certificate.serial)
    if (typeof admitted === 'string') {
      this.#refusals.refused(arrival.address, `serial-${admitted}`, { serial: certificate.serial })
      return
    }
    arrival.connection = connection
    this.#open?.grpc.inject(socket)
  }

  #opened(stream: ManagerStream): void {
    const connection = this.#arrivals.getStore()?.connection
    if (connection === undefined || !this.#connections.has(connection)) {
      stream.destroy()
      return
    }
    this.#events.onStream(stream, connection)
  }
}

/** So that the kernel remembers nothing of whom we turn away. */
function reset(bytes: Duplex): void {
  if ('resetAndDestroy' in bytes) (bytes as Socket).resetAndDestroy()
  else bytes.destroy()
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
