import type { Host } from '../model/host.ts'
import type { HostView } from '../model/snapshot.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { FromManager, Hello, Interruption, Received, SessionTaken } from '../muster-v1/messages.ts'
import { mostAgents } from './admission.ts'
import { HostWriter } from './host-writer.ts'
import { noticeOf } from './interruption-notice.ts'
import { KnownAgents } from './known-agents.ts'
import { endStream } from './grpc-server.ts'
import { say } from './say.ts'
import type { ManagerLinkOptions, SessionAnswer, SessionOffer } from './seams.ts'
import { SessionOffers } from './session-offers.ts'
import type { Wish } from './wishes.ts'
import { leave, namesOf, startSession, stopAgent, wishesOf } from './wishes.ts'

/**
 * One host with one stream. Two directions that meet only in the rows: what the manager says is merged and written,
 * what the rows ask is said. Nothing here is remembered for the next stream: Hello and the rows tell all anew.
 */
export class ConnectedHost {
  readonly id: string
  readonly regionId: string
  readonly #options: ManagerLinkOptions
  readonly #host: Host
  readonly #stream: ManagerStream
  readonly #agents = new KnownAgents()
  readonly #offers = new SessionOffers()
  readonly #writer: HostWriter
  readonly #said = new Set<string>()
  readonly #address: string
  #capacity: number
  #seen: Pick<HostView, 'revision' | 'agents'> | undefined
  #isOpen = true
  #isConfirmingEnd = false

  constructor(options: ManagerLinkOptions, host: Host, stream: ManagerStream, hello: Hello) {
    this.#options = options
    this.#host = host
    this.#stream = stream
    this.id = host.id
    this.regionId = host.regionId
    this.#address = hello.address
    this.#capacity = hello.capacity
    this.#agents.merge(hello.agents)
    this.#writer = new HostWriter(
      options,
      { id: host.id, agents: this.#agents },
      {
        onUnwanted: (agentIds) => {
          for (const agentId of agentIds) if (!this.#agents.isGone(agentId)) this.#sayOnce(stopAgent(agentId))
        },
        onGone: (agentIds) => {
          for (const name of agentIds.flatMap(namesOf)) this.#said.delete(name)
        },
        onRefused: () => void this.#confirmEnd(),
        onInterrupted: () => options.wake(host.regionId, { kind: 'manager', what: 'interrupted' }),
      },
    )
  }

  /**
   * Tells the mirror of the host, and the database of all its agents.
   * @throws MusterError as the store does
   */
  async introduce(): Promise<void> {
    await this.#writer.introduce(this.#host)
  }

  /** After `introduce` and Welcome: all that the rows ask. */
  welcomed(): void {
    this.look()
    this.#writer.wake()
  }

  receive(received: Received<FromManager>): void {
    switch (received.message) {
      case 'heartbeat':
        this.#heartbeat(received.heartbeat.capacity)
        break
      case 'report':
        this.#agents.merge(received.report.agents)
        if (this.#agents.size > 2 * mostAgents) {
          endStream(this.#stream, 'RESOURCE_EXHAUSTED', `a host has at most ${mostAgents} agents`)
          return
        }
        this.#writer.wake()
        break
      case 'sessionTaken':
        this.#sessionTaken(received.sessionTaken)
        break
      case 'interruption':
        this.#interrupted(received.interruption)
        break
      case 'drained':
        this.#options.wake(this.regionId, { kind: 'manager', what: 'drained' })
        break
      default:
        break
    }
  }

  /** Compare with the rows, and say what they ask and was not said yet. Cheap when nothing changed. */
  look(): void {
    const host = this.#options.hostOf(this.id)
    if (host === undefined) {
      if (this.#seen !== undefined) void this.#confirmEnd()
      return
    }
    if (host.revision === this.#seen?.revision && host.agents === this.#seen.agents) return
    this.#seen = host
    for (const wish of wishesOf(host, (agentId) => this.#agents.sessionOf(agentId))) this.#sayOnce(wish)
  }

  async startSession(offer: SessionOffer, signal: AbortSignal): Promise<SessionAnswer> {
    if (!this.#agents.mayServe(offer.agentId)) return { taken: false, error: 'the agent has ended' }
    if (this.#agents.sessionOf(offer.agentId) === offer.sessionId) return { taken: true }
    const answer = this.#offers.wait(offer.agentId, offer.sessionId, signal)
    this.#sayOnce(startSession(offer))
    return answer
  }

  /** Resolves once nothing is written any more. */
  async close(): Promise<void> {
    this.#isOpen = false
    this.#offers.refuseAll('the stream to the manager ended')
    await this.#writer.close()
  }

  #heartbeat(capacity: number): void {
    const isUnresponsive = this.#options.hostOf(this.id)?.status === 'UNRESPONSIVE'
    if (capacity === this.#capacity && !isUnresponsive) return
    if (capacity > mostAgents) return
    this.#capacity = capacity
    this.#writer.register(this.#address, capacity)
  }

  /** What the rows have already is not written again: it is said on each stream. */
  #interrupted(said: Interruption): void {
    const notice = noticeOf(said, this.#options.clock.now())
    if (notice === undefined) {
      const detail = JSON.stringify(said).slice(0, 200)
      this.#options.logger.warn({ hostId: this.id, detail }, 'strange notice of a provider')
      return
    }
    const host = this.#options.hostOf(this.id)
    const known = notice.kind === 'rebalance' ? host?.rebalanceAdvisedAt : host?.interruptionAt
    if (known !== undefined && known !== null && known <= notice.at) return
    this.#writer.reportInterruption(notice)
  }

  #sessionTaken({ agentId, sessionId, taken, error }: SessionTaken): void {
    const answer: SessionAnswer = taken ? { taken } : { taken, error: error === '' ? 'refused' : error }
    const wasWaitedFor = this.#offers.answer(agentId, sessionId, answer)
    if (taken) {
      this.#agents.sessionTaken(agentId, sessionId)
    } else if (!wasWaitedFor) {
      // Nobody is there to give the agent up, and it will never serve whom it is allocated to.
      this.#agents.refuse(agentId, answer.taken ? '' : answer.error)
    }
    this.#writer.wake()
  }

  /** The mirror has lost the host. It may be wrong, and Leave ends sessions: the database is asked first. */
  async #confirmEnd(): Promise<void> {
    if (this.#isConfirmingEnd) return
    this.#isConfirmingEnd = true
    try {
      const host = await this.#options.store.readHost(this.id)
      if (host === undefined || host.status === 'TERMINATED') this.#sayOnce(leave)
    } catch (error) {
      this.#options.logger.debug({ hostId: this.id, err: error }, 'end of host not confirmed')
    } finally {
      this.#isConfirmingEnd = false
    }
  }

  #sayOnce(wish: Wish): void {
    if (this.#said.has(wish.name) || this.#said.has(leave.name)) return
    this.#said.add(wish.name)
    this.#send(wish)
  }

  #send({ message }: Wish): void {
    if (this.#isOpen) say(this.#stream, message)
  }
}
