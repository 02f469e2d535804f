/**
 * What a provider, or `muster join`, leaves in a host's directory for the manager to find: the whole of what a fresh
 * machine knows. It may hold a secret (the enrolment token), so the file is readable by its owner only.
 */
export interface ManagerSpec {
  readonly fleetId: string
  /** null: nobody launched this machine, it joins by itself. */
  readonly launchId: string | null
  readonly cloudId: string
  /** Redeemed once, for the key that the manager makes. */
  readonly enrolmentToken?: string | undefined
  /** Where a token may be found besides; absolute. The file `token` beside the spec goes before it. */
  readonly tokenFile?: string | undefined
  /** `sha256/<base64url>` of each root's public key: who the daemon must be. */
  readonly caPins: readonly string[]
  /** Agents that the host keeps. */
  readonly agents: number
  /** Of the image that the host serves. */
  readonly version: string
  /** `host:port` or `wss://host/v1/managers` of each daemon; the file `daemon` beside the spec goes before it. */
  readonly daemons: readonly string[]
  /** Where users reach the agents: a name or an IP address, without a port. */
  readonly address: string
  /** What the agents run, as the rows name it. */
  readonly app: string
  /** Program and arguments of an agent. */
  readonly agentCommand: readonly string[]
  /**
   * `http://address[:port]` of the instance metadata service, and a path if it is below one; it is watched for what the
   * provider says of the machine. Left out, nothing is watched.
   */
  readonly metadataEndpoint?: string | undefined
  /** What the SEV tool wrote of this machine; default: `backend_info.json` beside the spec. */
  readonly measurementFile?: string | undefined
}

/** The files of a host's directory, by what they are for. */
export const hostFiles = {
  spec: 'spec.json',
  /** One daemon address a line. The provider rewrites it when the daemons move. */
  daemon: 'daemon',
  /** Made by the first manager, or by the provider that ends a host before it has one. */
  claim: 'claim',
  /** Key, certificate and roots of the manager. */
  credentials: 'credentials.json',
  /** The key for its next certificate. */
  pendingKey: 'pending-key.json',
  /** A fresh enrolment token, put there by whoever lets the manager in again. */
  token: 'token',
  measurement: 'backend_info.json',
  log: 'manager.log',
} as const
