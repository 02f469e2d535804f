import type { Agent } from './agent.ts'
import type { Host } from './host.ts'
import type { BlockedOffering } from './offering.ts'
import type { Image, Region } from './region.ts'
import type { Rollout, RolloutHealth } from './rollout.ts'

/** A host with its agents, as a turn sees it. */
export interface HostView extends Host {
  readonly agents: readonly Agent[]
  /** WAITING agents. They are free capacity only while the host is ACTIVE. */
  readonly waitingAgents: number
  /** ALLOCATED, CONNECTING and RUNNING agents. */
  readonly liveAgents: number
  /** Milliseconds since the epoch; silence counts from the later of last heartbeat, daemon start, database return. */
  readonly heardAt: number
}

/** Everything a region is decided from: plain data, held still for one turn. */
export interface RegionSnapshot {
  /** Milliseconds since the epoch. The only clock an algorithm has. */
  readonly now: number
  /** Milliseconds since the epoch. Before it (daemon start, take-over, database return) no manager could be heard. */
  readonly listeningSince: number
  readonly region: Region
  /** All but RETIRED images, and RETIRED ones that may still have hosts. In order of id. */
  readonly images: readonly Image[]
  /**
   * The image that new hosts boot; undefined: nothing is launched. An algorithm is asked once for each image that is kept in
   * size, with that image here and none but its hosts.
   */
  readonly activeImage: Image | undefined
  /** Every host that may cost money, LAUNCHING to TERMINATING, in order of id. */
  readonly hosts: readonly HostView[]
  /** What the provider has said no to; those whose end has come may still be among them. In order of id. */
  readonly blockedOfferings: readonly BlockedOffering[]
  /** Users in the wait queue whose demand counts in this region. */
  readonly waitingUsers: number
  /** Of these, who wait for another image than the ACTIVE one, by `images.id`. */
  readonly waitingUsersOf: Readonly<Record<string, number>>
  /** Those that are not over, in order of id. */
  readonly rollouts: readonly Rollout[]
  /** Of the roll-out that leads, where a turn had it counted. */
  readonly rolloutHealth: RolloutHealth | undefined
  /** What the clients of the region's channel have; undefined: nobody has said. */
  readonly channelVersion: string | undefined
  /** Milliseconds since the epoch; no launch before it. Undefined when launches are not held back. */
  readonly launchBlockedUntil: number | undefined
}
