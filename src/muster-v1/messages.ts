/**
 * The messages of muster.proto as they come out of the decoder, written by hand: field names in camel case, numbers as
 * numbers, enum values as strings, and an empty string or 0 for what was not set (proto3 cannot tell the two apart).
 */
export interface Hello {
  /** The host that it served last; empty until a Welcome named one. */
  readonly hostId: string
  /** Where users reach the agents: a name or an IP address, without a port. */
  readonly address: string
  /** Agents that the host keeps in all. */
  readonly capacity: number
  readonly version: string
  readonly agents: readonly AgentState[]
}

interface Heartbeat {
  /** Seats that work. */
  readonly capacity: number
}

export type AgentStatusOnWire =
  'AGENT_STATUS_UNSPECIFIED' | 'WAITING' | 'ALLOCATED' | 'CONNECTING' | 'RUNNING' | 'DYING' | 'GONE'

export interface AgentState {
  readonly agentId: string
  readonly status: AgentStatusOnWire
  readonly port: number
  readonly sessionId: string
  readonly app: string
  /** Why its session did not end well; empty: it did, has not ended, or there was none. */
  readonly failure: string
}

interface Report {
  readonly agents: readonly AgentState[]
}

export interface SessionTaken {
  readonly agentId: string
  readonly sessionId: string
  readonly taken: boolean
  /** Why not; empty when taken. */
  readonly error: string
}

export type InterruptionKindOnWire = 'INTERRUPTION_KIND_UNSPECIFIED' | 'INTERRUPTION' | 'REBALANCE'

export interface Interruption {
  readonly kind: InterruptionKindOnWire
  /** What the provider will do, in its own word; empty when it does not say. */
  readonly action: string
  /** Milliseconds since the epoch: of the end, or of the advice. */
  readonly at: number
}

export interface Welcome {
  /** Empty for a backend that serves nobody. */
  readonly hostId: string
  readonly heartbeatIntervalMs: number
}

export interface Refused {
  /** `unauthorized` is for ever, `unavailable` for now. */
  readonly code: string
  readonly message: string
}

export interface StartSession {
  readonly agentId: string
  readonly sessionId: string
  readonly userId: string
}

interface StopAgent {
  readonly agentId: string
}

interface Drain {
  /** The sessions that go on are told. */
  readonly notifySessions: boolean
}

export interface Renew {
  /** PEM, PKCS #10. */
  readonly csr: string
}

interface Info {
  /** JSON, kept byte for byte. */
  readonly document: Buffer
}

export interface Renewed {
  /** PEM: the certificate, then its issuer; empty when it was refused. */
  readonly certificate: string
  /** PEM: what the daemon's own certificate may chain to. */
  readonly ca: string
  readonly error: string
}

interface Terminated {
  /** `certificate-revoked` or `user`. */
  readonly reason: string
}

type Nothing = Readonly<Record<string, never>>

export type FromManager =
  | { readonly message: 'hello'; readonly hello: Hello }
  | { readonly message: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly message: 'report'; readonly report: Report }
  | { readonly message: 'sessionTaken'; readonly sessionTaken: SessionTaken }
  | { readonly message: 'drained'; readonly drained: Nothing }
  | { readonly message: 'renew'; readonly renew: Renew }
  | { readonly message: 'info'; readonly info: Info }
  | { readonly message: 'interruption'; readonly interruption: Interruption }

export type FromDaemon =
  | { readonly message: 'welcome'; readonly welcome: Welcome }
  | { readonly message: 'refused'; readonly refused: Refused }
  | { readonly message: 'startSession'; readonly startSession: StartSession }
  | { readonly message: 'stopAgent'; readonly stopAgent: StopAgent }
  | { readonly message: 'drain'; readonly drain: Drain }
  | { readonly message: 'leave'; readonly leave: Nothing }
  | { readonly message: 'renewed'; readonly renewed: Renewed }
  | { readonly message: 'askInfo'; readonly askInfo: Nothing }
  | { readonly message: 'terminated'; readonly terminated: Terminated }
  | { readonly message: 'interruption'; readonly interruption: Interruption }

/** What may arrive: a newer peer may say something that this version has no name for, which is to be passed over. */
export type Received<Message> = Message | { readonly message?: undefined }
