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
import type { FromManager, Hello, Received, Refused } from '../muster-v1/messages.ts'
import { rightEndsAt } from '../trust/allow-list.ts'
import { admit, reasonOf, unavailable } from './admission.ts'
import { ConnectedBackend } from './connected-backend.ts'
import { ConnectedHost } from './connected-host.ts'
import { Disconnects } from './disconnects.ts'
import { enrol } from './enrolment.ts'
import { endStream } from './grpc-server.ts'
import { Heartbeats } from './heartbeats.ts'
import type { ManagerConnection } from './manager-door.ts'
import { ManagerDoor } from './manager-door.ts'
import { say } from './say.ts'
import type { ManagerLinkOptions, SessionAnswer, SessionOffer } from './seams.ts'

const helloWithinMs = 5_000
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
  readonly #backends = new Map<string, ConnectedBackend>()
  /** By the id of the host that each serves. */
  readonly #hosts = new Map<string, ConnectedBackend>()
  /** Of each backend the youngest stream that waits for what an earlier one still writes. */
  readonly #waiting = new Map<string, ManagerStream>()
  readonly #unsettled = new Map<string, Promise<unknown>>()
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
      isKept: (backendId) => this.#backends.has(backendId),
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
    const backends = [...this.#backends.values()]
    this.#backends.clear()
    this.#hosts.clear()
    await Promise.all(backends.map((backend) => backend.cutOff('this daemon stops')))
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
    return this.#hosts.has(hostId)
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
    const backend = this.#backends.get(backendId)
    if (backend === undefined) {
      throw new MusterError('conflict', `the manager of backend ${backendId} is not connected to this daemon`)
    }
    await backend.askInfo(signal)
  }

  /** Why the backend's right is about to be taken, for its manager to be told. */
  terminating(backendId: string, reason: TerminateReason): void {
    if (this.#backends.has(backendId)) this.#reasons.set(backendId, reason)
  }

  /**
   * Asks the host's manager to start a session at once, without waiting for the mirror, and gives its answer. Saying
   * the same session again is harmless. When taken, the agent's row becomes CONNECTING a moment later.
   */
  async startSession(hostId: string, offer: SessionOffer, signal: AbortSignal): Promise<SessionAnswer> {
    const backend = this.#hosts.get(hostId)
    if (backend?.host === undefined || !this.#door.has(backend.connection)) {
      return { taken: false, error: 'the host is not connected' }
    }
    return backend.host.startSession(offer, signal)
  }

  #accept(stream: ManagerStream, connection: ManagerConnection): void {
    const { clock } = this.#options
    this.#streams.add(stream)
    let backend: ConnectedBackend | undefined
    let isIntroduced = false
    const cancelTimer = clock.after(helloWithinMs, () =>
      endStream(stream, 'DEADLINE_EXCEEDED', 'no Hello in time'),
    )
    const closed = (): void => {
      cancelTimer()
      this.#streams.delete(stream)
      stream.end()
      if (backend !== undefined) this.#disconnected(backend)
      backend = undefined
    }
    stream.on('data', (received: Received<FromManager>) => {
      // What a connection says after its right was taken, in the moment before it is closed, counts for nothing.
      if (!this.#door.has(connection)) return
      if (backend !== undefined) {
        this.#heard(backend)
        backend.receive(received)
        return
      }
      cancelTimer()
      if (received.message !== 'hello' || isIntroduced) {
        endStream(stream, 'INVALID_ARGUMENT', 'the first message must be Hello')
        return
      }
      isIntroduced = true
      // Until it is known who speaks, nothing more is heard.
      stream.pause()
      void this.#introduce(stream, connection, received.hello).then((introduced) => {
        backend = introduced
        if (!this.#streams.has(stream)) closed()
        else stream.resume()
      })
    })
    stream.once('cancelled', closed)
    stream.once('error', closed)
    stream.once('end', closed)
    stream.once('close', closed)
  }

  /** Never throws: gives the backend once it is welcomed. */
  async #introduce(
    stream: ManagerStream,
    connection: ManagerConnection,
    hello: Hello,
  ): Promise<ConnectedBackend | undefined> {
    const { backendId } = connection
    const overtaken = this.#waiting.get(backendId)
    if (overtaken !== undefined)
      endStream(overtaken, 'UNAVAILABLE', 'another stream of this manager took over')
    this.#waiting.set(backendId, stream)
    return this.#afterEarlier(backendId, async () => {
      const isYoungest = this.#waiting.get(backendId) === stream
      if (isYoungest) this.#waiting.delete(backendId)
      // Who redials while the database is slow leaves dead streams behind, and none of them may cost it anything.
      if (!isYoungest || !this.#streams.has(stream) || !this.#door.has(connection)) return undefined
      await this.#disconnects.forget(backendId)
      const admission = await admit(this.#options, hello, connection)
      if ('refused' in admission) {
        this.#refuse(stream, connection, admission.refused)
        return undefined
      }
      const { backend, host } = admission
      const earlier = this.#backends.get(backend.id)
      this.#forget(earlier)
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

  /** What an earlier stream of a backend still writes must not be written after what a later one tells. */
  async #afterEarlier<T>(backendId: string, step: () => Promise<T>): Promise<T> {
    const earlier = this.#unsettled.get(backendId)
    const mine = (async () => {
      await earlier
      return step()
    })()
    this.#unsettled.set(backendId, mine)
    try {
      return await mine
    } finally {
      if (this.#unsettled.get(backendId) === mine) this.#unsettled.delete(backendId)
    }
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
    this.#backends.set(backendId, backend)
    if (host !== undefined) this.#hosts.set(host.id, backend)
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
    void this.#afterEarlier(backendId, () => backend.close())
    // A stream that was replaced is no news.
    if (this.#backends.get(backendId) !== backend) return
    this.#forget(backend)
    this.#disconnects.add(backendId)
    this.#options.logger.info({ backendId, hostId: host?.id, region: host?.regionId }, 'manager disconnected')
    if (host !== undefined) this.#options.wake(host.regionId, { kind: 'manager', what: 'disconnected' })
  }

  #forget(backend: ConnectedBackend | undefined): void {
    if (backend === undefined) return
    this.#backends.delete(backend.id)
    if (backend.host !== undefined) this.#hosts.delete(backend.host.id)
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
    const backend = this.#backends.get(backendId)
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
      for (const { host, connection } of this.#hosts.values()) {
        if (host !== undefined && regions.has(host.regionId) && this.#door.has(connection)) host.look()
      }
    })
  }
}
