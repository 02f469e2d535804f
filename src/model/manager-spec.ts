/**
 * What a provider leaves in a host's directory for the manager to find: the whole of what a fresh machine knows. It
 * holds a secret (the enrolment token), so the file is readable by its owner only.
 */
export interface ManagerSpec {
  readonly fleetId: string
  readonly launchId: string
  readonly cloudId: string
  /** Redeemed once, for the host key that the manager makes. */
  readonly enrolmentToken: string
  /** Agents that the host keeps. */
  readonly agents: number
  /** Of the image that the host serves. */
  readonly version: string
  /** `host:port` of each daemon; the file `daemon` beside the spec goes before it. */
  readonly daemons: readonly string[]
  /** Where users reach the agents: a name or an IP address, without a port. */
  readonly address: string
  /** What the agents run, as the rows name it. */
  readonly app: string
  /** Program and arguments of an agent. */
  readonly agentCommand: readonly string[]
}

/** The files of a host's directory, by what they are for. */
export const hostFiles = {
  spec: 'spec.json',
  /** One `host:port` a line. The provider rewrites it when the daemons move. */
  daemon: 'daemon',
  /** Made by the first manager, or by the provider that ends a host before it has one. */
  claim: 'claim',
  hostKey: 'host-key',
  log: 'manager.log',
} as const
