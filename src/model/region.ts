/** Seconds that a host or agent may spend in a state before upkeep acts; every one has a default. */
export interface Deadlines {
  /** From the request to the provider's answer. */
  readonly launch: number
  /** From the machine's start to its manager's first connection. */
  readonly connect: number
  /** Silence of a manager. */
  readonly heartbeat: number
  /** From the claim of an agent to its user's first request. */
  readonly allocated: number
  /** From DRAINING to the last session's end. */
  readonly drain: number
  /** Past the drain deadline, end the sessions that are left. */
  readonly force_drain: boolean
}

export const defaultDeadlines: Deadlines = {
  launch: 300,
  connect: 300,
  heartbeat: 15,
  allocated: 60,
  drain: 3600,
  force_drain: false,
}

/** How much the sweep and upkeep may end of a region's hosts in one window, nobody having wished it. */
export interface BlastRadius {
  /** Of the region's hosts, 0 to 100. */
  readonly percent: number
  /** Hosts, however few the region has; 0 or more. */
  readonly at_least: number
  /** Seconds. */
  readonly window: number
}

export const defaultBlastRadius: BlastRadius = { percent: 10, at_least: 1, window: 600 }

/** Ids of hosts or machines that findings have ended lately, and when, in milliseconds since the epoch. */
export type Endings = Readonly<Record<string, number>>

/** One row of `fleet.regions`: a pool of hosts of one provider and place, kept in size by one algorithm. */
export interface Region {
  readonly id: string
  readonly provider: string
  /** false: no launches, no assigns, hosts kept. */
  readonly enabled: boolean
  /** A name in the registry, or the path of a module that exports a ScalingAlgorithm as `algorithm`. */
  readonly algorithm: string
  readonly options: Readonly<Record<string, unknown>>
  readonly deadlines: Deadlines
  readonly blastRadius: BlastRadius
  readonly endings: Endings
  /** Milliseconds since the epoch; until then a person lets all findings go on. */
  readonly sweepConfirmedUntil: number | null
  readonly targetFreeAgents: number
  readonly minHosts: number
  /** Bounds all hosts that may cost money, LAUNCHING to TERMINATING, DRAINING too. */
  readonly maxHosts: number
  /** How far a roll-out or the replacement of an interrupted host may pass maxHosts. */
  readonly maxSurgeHosts: number
  readonly instanceTypes: readonly string[]
  /** What a plan counts with: as the row says, else the smallest of the region's machines, else 1. */
  readonly agentsPerHost: number
  /** As the row says; null: as many as the instance type holds. */
  readonly agentsPerHostGiven: number | null
  /** Of the smallest of the region's machines; null: its provider has not been asked yet. */
  readonly agentsPerHostDiscovered: number | null
  /** What the provider's machines are like; the provider parses it. */
  readonly providerOptions: unknown
  readonly maxAgentsPerUser: number
  /** Whose version (`fleet.versions`) its roll-outs follow. */
  readonly channel: string
  /** What its roll-outs are like, unless one says otherwise: a user's JSON, see `RolloutOptions`. */
  readonly rollout: unknown
  readonly turn: number
  /** Launches that failed since a host last connected. */
  readonly launchFailures: number
  /** Milliseconds since the epoch. */
  readonly launchBlockedUntil: number | null
  readonly launchErrorCode: string | null
  readonly launchError: string | null
  readonly revision: number
}

export type ImageStatus = 'CANDIDATE' | 'ACTIVE' | 'RETIRED'

/** One row of `fleet.images`: what a host boots, and the version it serves. One is ACTIVE in each region. */
export interface Image {
  readonly id: string
  readonly regionId: string
  /** The provider's own name of it (an AMI id, …). */
  readonly imageId: string
  readonly version: string
  readonly status: ImageStatus
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly revision: number
}
