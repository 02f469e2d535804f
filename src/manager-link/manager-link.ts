/**
 * The daemon's end of the managers' streams, open only while this daemon is the active one.
 *
 *   Hello → admitted by key or token → registered, all agents written → Welcome → what the rows ask, now and at each change
 *
 * Each host has at most one stream, the youngest. The streams outlast a database that is away: what managers say is
 * kept, and only a new Hello is put off.
 */
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { FromManager, Hello, Received, Refused } from '../muster-v1/messages.ts'
import { admit, reasonOf, unavailable } from './admission.ts'
import { ConnectedHost } from './connected-host.ts'
import { Heartbeats } from './heartbeats.ts'
import type { ManagerServer } from './manager-server.ts'
import { endStream, startManagerServer } from './manager-server.ts'
import type { ManagerLinkOptions, SessionAnswer, SessionOffer } from './seams.ts'

const helloWithinMs = 5_000
/** Changes of rows within this time are looked at once. */
const lookDelayMs = 5

export class ManagerLink {
  readonly #options: ManagerLinkOptions
  readonly #heartbeats: Heartbeats
  readonly #hosts = new Map<string, ConnectedHost>()
  readonly #unsettled = new Map<string, Promise<unknown>>()
  readonly #streams = new Set<ManagerStream>()
  readonly #changedRegions = new Set<string>()
  #server: ManagerServer | undefined
  #endWatch: () => void = () => undefined
  #cancelLook: (() => void) | undefined

  constructor(options: ManagerLinkOptions) {
    this.#options = options
    this.#heartbeats = new Heartbeats(options)
  }

  /**
   * @param port 0 for any free one.
   * @throws MusterError `port-in-use`
   */
  async start(port: number): Promise<void> {
    if (this.#server !== undefined) return
    this.#server = await startManagerServer(port, (stream) => this.#accept(stream))
    this.#heartbeats.start()
    this.#endWatch = this.#options.view.onChange((regionId) => this.#lookSoon(regionId))
  }

  /** Managers lose their streams and look for the next daemon; their sessions go on. */
  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    this.#endWatch()
    this.#cancelLook?.()
    this.#cancelLook = undefined
    const hosts = [...this.#hosts.values()]
    this.#hosts.clear()
    await Promise.all(hosts.map((host) => host.cutOff('this daemon stops')))
    for (const stream of this.#streams) endStream(stream, 'UNAVAILABLE', 'this daemon stops')
    await this.#heartbeats.stop()
    await server.stop()
  }

  /** While started. */
  get port(): number | undefined {
    return this.#server?.port
  }

  isConnected(hostId: string): boolean {
    return this.#hosts.has(hostId)
  }

  /** When the host last said anything, in milliseconds since the epoch. */
  lastHeard(hostId: string): number | undefined {
    return this.#heartbeats.lastHeard(hostId)
  }

  /**
   * Asks the host's manager to start a session at once, without waiting for the mirror, and gives its answer. Saying
   * the same session again is harmless. When taken, the agent's row becomes CONNECTING a moment later.
   */
  async startSession(hostId: string, offer: SessionOffer, signal: AbortSignal): Promise<SessionAnswer> {
    const host = this.#hosts.get(hostId)
    if (host === undefined) return { taken: false, error: 'the host is not connected' }
    return host.startSession(offer, signal)
  }

  #accept(stream: ManagerStream): void {
    const { clock } = this.#options
    this.#streams.add(stream)
    let host: ConnectedHost | undefined
    let isIntroduced = false
    const cancelTimer = clock.after(helloWithinMs, () =>
      endStream(stream, 'DEADLINE_EXCEEDED', 'no Hello in time'),
    )
    const closed = (): void => {
      cancelTimer()
      this.#streams.delete(stream)
      stream.end()
      if (host !== undefined) this.#disconnected(host)
      host = undefined
    }
    stream.on('data', (received: Received<FromManager>) => {
      if (host !== undefined) {
        this.#heartbeats.heard(host.id)
        host.receive(received)
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
      void this.#introduce(stream, received.hello).then((introduced) => {
        host = introduced
        if (!this.#streams.has(stream)) closed()
        else stream.resume()
      })
    })
    stream.once('cancelled', closed)
    stream.once('error', closed)
    stream.once('end', closed)
    stream.once('close', closed)
  }

  /** Never throws: gives the host once it is welcomed. */
  async #introduce(stream: ManagerStream, hello: Hello): Promise<ConnectedHost | undefined> {
    const admission = await admit(this.#options, hello)
    if ('refused' in admission) {
      this.#refuse(stream, hello, admission.refused)
      return undefined
    }
    const { host } = admission
    return this.#afterEarlier(host.id, async () => {
      const earlier = this.#hosts.get(host.id)
      this.#hosts.delete(host.id)
      await earlier?.cutOff('another stream of this host took over')
      return this.#connect(new ConnectedHost(this.#options, host, stream, hello), stream, hello)
    })
  }

  /** What an earlier stream of a host still writes must not be written after what a later one tells. */
  async #afterEarlier<T>(hostId: string, step: () => Promise<T>): Promise<T> {
    const earlier = this.#unsettled.get(hostId)
    const mine = (async () => {
      await earlier
      return step()
    })()
    this.#unsettled.set(hostId, mine)
    try {
      return await mine
    } finally {
      if (this.#unsettled.get(hostId) === mine) this.#unsettled.delete(hostId)
    }
  }

  async #connect(
    host: ConnectedHost,
    stream: ManagerStream,
    hello: Hello,
  ): Promise<ConnectedHost | undefined> {
    const { logger, wake } = this.#options
    const refused = await host.introduce().catch((error: unknown) => {
      logger.warn({ hostId: host.id, err: error }, 'host not introduced')
      return unavailable(reasonOf(error))
    })
    if (refused !== undefined || this.#server === undefined || !this.#streams.has(stream)) {
      this.#refuse(stream, hello, refused ?? unavailable('this daemon stops'))
      await host.close()
      return undefined
    }
    this.#hosts.set(host.id, host)
    this.#heartbeats.heard(host.id)
    host.welcome()
    logger.info({ hostId: host.id, region: host.regionId, agents: hello.agents.length }, 'manager connected')
    wake(host.regionId, { kind: 'manager', what: 'connected' })
    return host
  }

  #disconnected(host: ConnectedHost): void {
    void this.#afterEarlier(host.id, () => host.close())
    // A stream that was replaced is no news.
    if (this.#hosts.get(host.id) !== host) return
    this.#hosts.delete(host.id)
    this.#options.logger.info({ hostId: host.id, region: host.regionId }, 'manager disconnected')
    this.#options.wake(host.regionId, { kind: 'manager', what: 'disconnected' })
  }

  #refuse(stream: ManagerStream, { hostId, launchId, cloudId }: Hello, refused: Refused): void {
    if (stream.destroyed || stream.writableEnded) return
    this.#options.logger.warn({ hostId, launchId, cloudId, ...refused }, 'manager refused')
    stream.write({ message: 'refused', refused })
    stream.end()
  }

  #lookSoon(regionId: string): void {
    this.#changedRegions.add(regionId)
    this.#cancelLook ??= this.#options.clock.after(lookDelayMs, () => {
      this.#cancelLook = undefined
      const regions = new Set(this.#changedRegions)
      this.#changedRegions.clear()
      for (const host of this.#hosts.values()) if (regions.has(host.regionId)) host.look()
    })
  }
}
