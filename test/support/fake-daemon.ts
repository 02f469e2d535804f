import { Server, ServerCredentials } from '@grpc/grpc-js'

import { managersService } from '../../src/muster-v1/managers-service.ts'
import type { ManagerStream } from '../../src/muster-v1/managers-service.ts'
import type {
  AgentState,
  AgentStatusOnWire,
  FromDaemon,
  FromManager,
  Hello,
  Interruption,
  Received,
  Refused,
  SessionTaken,
} from '../../src/muster-v1/messages.ts'
import type { FakePort, FakeTrust } from './fake-trust.ts'
import { startFakePort } from './fake-trust.ts'

/**
 * The daemon's side of the wire, by mutual TLS, which remembers what managers said and says what the test wants.
 */
export class FakeDaemon {
  readonly #server = new Server()
  readonly #trust: FakeTrust
  #wire: FakePort | undefined
  readonly #streams = new Set<ManagerStream>()
  readonly hellos: Hello[] = []
  readonly sessionsTaken: SessionTaken[] = []
  readonly capacities: number[] = []
  /** What managers told of their provider. */
  readonly interruptions: Interruption[] = []
  /** What managers told of their platform. */
  readonly infos: Buffer[] = []
  /** Every report of every agent, in order. */
  readonly reports: AgentState[] = []
  /** The agents as the last Hello and what followed have them; those that are gone are not in it. */
  readonly agents = new Map<string, AgentState>()
  /** Every agent of every host, as it was last told of. */
  readonly told = new Map<string, AgentState>()
  drained = 0
  port = 0
  refusal: Refused | undefined
  /** false: the stream is taken, and nothing is answered. */
  answers = true

  constructor(trust: FakeTrust) {
    this.#trust = trust
  }

  async start(port = 0): Promise<this> {
    this.#server.addService(managersService, {
      connect: (stream: ManagerStream) => this.#serve(stream),
    })
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure())
    this.#wire = await startFakePort(this.#trust, (socket) => injector.injectConnection(socket), port)
    this.port = this.#wire.port
    return this
  }

  stop(): void {
    this.#wire?.stop()
    this.#server.forceShutdown()
  }

  /** While it is started. */
  get wire(): FakePort {
    if (this.#wire === undefined) throw new Error('it is not started')
    return this.#wire
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get connected(): number {
    return this.#streams.size
  }

  say(message: FromDaemon): void {
    for (const stream of this.#streams) stream.write(message)
  }

  startSession(agentId: string, sessionId: string, userId = 'ada'): void {
    this.say({ message: 'startSession', startSession: { agentId, sessionId, userId } })
  }

  withStatus(status: AgentStatusOnWire): readonly AgentState[] {
    return [...this.agents.values()].filter((agent) => agent.status === status)
  }

  #serve(stream: ManagerStream): void {
    this.#streams.add(stream)
    const forget = (): void => void this.#streams.delete(stream)
    stream.on('error', forget)
    stream.on('close', forget)
    stream.on('end', () => {
      forget()
      stream.end()
    })
    stream.on('data', (message: Received<FromManager>) => this.#hear(stream, message))
  }

  #hear(stream: ManagerStream, message: Received<FromManager>): void {
    switch (message.message) {
      case 'hello':
        this.hellos.push(message.hello)
        this.agents.clear()
        for (const agent of message.hello.agents) {
          if (agent.status !== 'GONE') this.agents.set(agent.agentId, agent)
          this.told.set(agent.agentId, agent)
        }
        this.#answerHello(stream)
        break
      case 'heartbeat':
        this.capacities.push(message.heartbeat.capacity)
        break
      case 'report':
        for (const agent of message.report.agents) {
          this.reports.push(agent)
          this.told.set(agent.agentId, agent)
          if (agent.status === 'GONE') this.agents.delete(agent.agentId)
          else this.agents.set(agent.agentId, agent)
        }
        break
      case 'sessionTaken':
        this.sessionsTaken.push(message.sessionTaken)
        break
      case 'interruption':
        this.interruptions.push(message.interruption)
        break
      case 'drained':
        this.drained += 1
        break
      case 'renew':
        void this.#trust
          .renew(message.renew.csr)
          .then((renewed) => stream.write({ message: 'renewed', renewed }))
        break
      case 'info':
        this.infos.push(message.info.document)
        break
      case undefined:
        break
    }
  }

  #answerHello(stream: ManagerStream): void {
    if (!this.answers) return
    if (this.refusal === undefined) {
      stream.write({ message: 'welcome', welcome: { hostId: 'host-1', heartbeatIntervalMs: 100 } })
    } else {
      stream.write({ message: 'refused', refused: this.refusal })
      stream.end()
    }
  }
}
