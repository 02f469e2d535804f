/**
 * The daemon's end of the managers' streams, open only while this daemon is the active one.
 *
 *   connection let in (manager-door.ts) → Hello → its certificate's backend, by the database → its host's agents written
 *   → Welcome → what the rows ask, now and at each change
 *
 * Each backend has at most one stream, the youngest. The streams outlast a database that is away: what managers say is
 * kept, and only who is new is put off.
 */
import type { Duplex } from 'node:stream'

import { MusterError } from '../model/errors.ts'
import type { TerminateReason } from '../model/backend.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { Hello, Refused } from '../muster-v1/messages.ts'
import { rightEndsAt } from '../trust/allow-list.ts'
import { admit, reasonOf, unavailable } from './admission.ts'
import { ConnectedBackend } from './connected-backend.ts'
import { ConnectedBackends } from './connected-backends.ts'
import { ConnectedHost } from './connected-host.ts'
import { Disconnects } from './disconnects.ts'
import { enrol } from './enrolment.ts'
import { endStream } from './grpc-server.ts'
import { hearStream } from './hear-stream.ts'
import { Heartbeats } from './heartbeats.ts'
import type { ManagerConnection } from './manager-door.ts'
import { ManagerDoor } from './manager-door.ts'
import { say } from './say.ts'
import type { ManagerLinkOptions, SessionAnswer, SessionOffer } from './seams.ts'
import { StreamOrder } from './stream-order.ts'

/** Changes of rows within this time are looked at once. */
const lookDelayMs = 5
/** A certificate that leaves the list so shortly before its end has ended by the database's clock: it was not revoked. */
const endsAnywayMs = 5_000

export class ManagerLink {
  readonly #options: ManagerLinkOptions
  readonly #door: ManagerDoor
  readonly #hostBeats: Heartbeats
  readonly #backendBeats: Heartbeats
  readonly #disconnects: Disconnects
  readonly #connected = new ConnectedBackends()
  readonly #order = new StreamOrder()
  readonly #streams = new Set<ManagerStream>()
  readonly #changedRegions = new Set<string>()
  /** Why backends were terminated, where it was heard before their connections were closed. */
  readonly #reasons = new Map<string, TerminateReason>()
  #isStarted = false
  #endWatch: () => void = () => undefined
  #cancelLook: (() => void) | undefined

  constructor(options: ManagerLinkOptions) {
    const { store, trust, fence, hostOf, clock, logger } = options
    this.#options = options
    this.#hostBeats = new Heartbeats({
      write: (beats, number) => store.flushHeartbeats(beats, number),
      isKept: (hostId) => hostOf(hostId) !== undefined,
      ...{ fence, clock, logger },
    })
    this.#backendBeats = new Heartbeats({
      write: (beats, number) => trust.flushBackends(beats, number),
      isKept: (backendId) => this.#connected.of(backendId) !== undefined,
      ...{ fence, clock, logger },
    })
    this.#disconnects = new Disconnects({ trust, fence, clock, logger })
    this.#door = new ManagerDoor(
      { ...options, enrol: (request) => enrol({ ...options, store: trust }, request) },
      {
        onStream: (stream, connection) => this.#accept(stream, connection),
        onRightTaken: (connection) => this.#sayTerminated(connection),
      },
    )
  }

  /**
   * @param port 0 for any free one.
   * @throws MusterError `port-in-use`, `authority-unusable`
   */
  async start(port: number): Promise<void> {
    if (this.#isStarted) return
    // The daemon that went before may not have said it.
    await this.#disconnects.all()
    await this.#door.start(port)
    this.#isStarted = true
    this.#hostBeats.start()
    this.#backendBeats.start()
    this.#endWatch = this.#options.view.onChange((regionId) => this.#lookSoon(regionId))
  }

  /** Managers lose their streams and look for the next daemon; their sessions go on. */
  async stop(): Promise<void> {
    if (!this.#isStarted) return
    this.#isStarted = false
    this.#endWatch()
    this.#cancelLook?.()
    this.#cancelLook = undefined
    await Promise.all(this.#connected.removeAll().map((backend) => backend.cutOff('this daemon stops')))
    for (const stream of this.#streams) endStream(stream, 'UNAVAILABLE', 'this daemon stops')
    await Promise.all([this.#hostBeats.stop(), this.#backendBeats.stop(), this.#door.stop()])
    await this.#disconnects.all()
  }

  /** While started. */
  get port(): number | undefined {
    return this.#door.port
  }

  /** A stream of bytes that came another way than by the port: the same handshake, the same rules. */
  take(bytes: Duplex, address: string): void {
    this.#door.take(bytes, address)
  }

  isConnected(hostId: string): boolean {
    return this.#connected.serving(hostId) !== undefined
  }

  /** When the host last said anything, in milliseconds since the epoch. */
  lastHeard(hostId: string): number | undefined {
    return this.#hostBeats.lastHeard(hostId)
  }

  /** When the backend last said anything, in milliseconds since the epoch; undefined when it is not connected here. */
  backendLastHeard(backendId: string): number | undefined {
    return this.#backendBeats.lastHeard(backendId)
  }

  /**
   * Asks the backend's manager for its platform; resolves once the rows have it.
   * @throws MusterError `conflict` when it is not connected here, `unavailable` when it does not answer
   */
  async askInfo(backendId: string, signal: AbortSignal): Promise<void> {
    const backend = this.#connected.of(backendId)
    if (backend === undefined) {
      throw new MusterError('conflict', `the manager of backend ${backendId} is not connected to this daemon`)
    }
    await backend.askInfo(signal)
  }

  /** Why the backend's right is about to be taken, for its manager to be told. */
  terminating(backendId: string, reason: TerminateReason): void {
    if (this.#connected.of(backendId) !== undefined) this.#reasons.set(backendId, reason)
  }

  /**
   * Asks the host's manager to start a session at once, without waiting for the mirror, and gives its answer. Saying
   * the same session again is harmless. When taken, the agent's row becomes CONNECTING a moment later.
   */
  async startSession(hostId: string, offer: SessionOffer, signal: AbortSignal): Promise<SessionAnswer> {
    const backend = this.#connected.serving(hostId)
    if (backend?.host === undefined || !this.#door.has(backend.connection)) {
      return { taken: false, error: 'the host is not connected' }
    }
    return backend.host.startSession(offer, signal)
  }

  #accept(stream: ManagerStream, connection: ManagerConnection): void {
    this.#streams.add(stream)
    hearStream<ConnectedBackend>(stream, {
      mayBeHeard: () => this.#door.has(connection),
      introduce: (hello) => this.#introduce(stream, connection, hello),
      heard: (backend, received) => {
        this.#heard(backend)
        backend.receive(received)
      },
      closed: (backend) => {
        this.#streams.delete(stream)
        if (backend !== undefined) this.#disconnected(backend)
      },
      clock: this.#options.clock,
    })
  }

  /** Never throws: gives the backend once it is welcomed. */
  async #introduce(
    stream: ManagerStream,
    connection: ManagerConnection,
    hello: Hello,
  ): Promise<ConnectedBackend | undefined> {
    const { backendId } = connection
    return this.#order.enter(backendId, stream, async () => {
      // Who redials while the database is slow leaves dead streams behind, and none of them may cost it anything.
      if (!this.#streams.has(stream) || !this.#door.has(connection)) return undefined
      await this.#disconnects.forget(backendId)
      const admission = await admit(this.#options, hello, connection)
      if ('refused' in admission) {
        this.#refuse(stream, connection, admission.refused)
        return undefined
      }
      const { backend, host } = admission
      const earlier = this.#connected.of(backend.id)
      if (earlier !== undefined) this.#connected.remove(earlier)
      await earlier?.cutOff('another stream of this manager took over')
      return this.#connect(
        new ConnectedBackend(this.#options, {
          id: backend.id,
          host: host && new ConnectedHost(this.#options, host, stream, hello),
          ...{ connection, stream },
        }),
        stream,
        hello,
      )
    })
  }

  async #connect(
    backend: ConnectedBackend,
    stream: ManagerStream,
    hello: Hello,
  ): Promise<ConnectedBackend | undefined> {
    const { logger, wake } = this.#options
    const { id: backendId, host, connection } = backend
    const refused = await host?.introduce().then(
      () => undefined,
      (error: unknown) => {
        logger.warn({ hostId: host.id, err: error }, 'host not introduced')
        return unavailable(reasonOf(error))
      },
    )
    const isGone = !this.#streams.has(stream) || !this.#door.has(connection)
    if (refused !== undefined || !this.#isStarted || isGone) {
      this.#refuse(stream, connection, refused ?? unavailable('this daemon stops'))
      await backend.close()
      if (this.#isStarted) this.#disconnects.add(backendId)
      return undefined
    }
    this.#connected.add(backend)
    this.#heard(backend)
    backend.welcome()
    logger.info(
      { backendId, hostId: host?.id, region: host?.regionId, agents: hello.agents.length },
      'manager connected',
    )
    if (host !== undefined) wake(host.regionId, { kind: 'manager', what: 'connected' })
    return backend
  }

  #disconnected(backend: ConnectedBackend): void {
    const { id: backendId, host } = backend
    void this.#order.afterEarlier(backendId, () => backend.close())
    // A stream that was replaced is no news.
    if (!this.#connected.remove(backend)) return
    this.#disconnects.add(backendId)
    this.#options.logger.info({ backendId, hostId: host?.id, region: host?.regionId }, 'manager disconnected')
    if (host !== undefined) this.#options.wake(host.regionId, { kind: 'manager', what: 'disconnected' })
  }

  #heard({ id, host }: ConnectedBackend): void {
    this.#backendBeats.heard(id)
    if (host !== undefined) this.#hostBeats.heard(host.id)
  }

  #refuse(stream: ManagerStream, { backendId, serial }: ManagerConnection, refused: Refused): void {
    if (stream.destroyed || stream.writableEnded) return
    this.#options.logger.warn({ backendId, serial, ...refused }, 'manager refused')
    say(stream, { message: 'refused', refused })
    stream.end()
  }

  /**
   * Whoever has no live certificate left is told to stop what runs. A certificate that gave way to another, or whose time
   * is up, says nothing about its backend: its manager dials again.
   */
  #sayTerminated(connection: ManagerConnection): boolean {
    const { allowList, clock } = this.#options
    const { backendId } = connection
    const backend = this.#connected.of(backendId)
    const reason = this.#reasons.get(backendId) ?? 'certificate-revoked'
    this.#reasons.delete(backendId)
    const endsAnyway = rightEndsAt(connection) - clock.now() < endsAnywayMs
    if (backend?.connection !== connection || allowList.of(backendId).length > 0 || endsAnyway) return false
    backend.terminated(reason)
    return true
  }

  #lookSoon(regionId: string): void {
    this.#changedRegions.add(regionId)
    this.#cancelLook ??= this.#options.clock.after(lookDelayMs, () => {
      this.#cancelLook = undefined
      const regions = new Set(this.#changedRegions)
      this.#changedRegions.clear()
      for (const { host, connection } of this.#connected) {
        if (host !== undefined && regions.has(host.regionId) && this.#door.has(connection)) host.look()
      }
    })
  }
}
