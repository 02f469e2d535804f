import type { Agent } from './agent.ts'
import type { Host } from './host.ts'
import type { BlockedOffering } from './offering.ts'
import type { Image, Region } from './region.ts'

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
  /** All but RETIRED images. */
  readonly images: readonly Image[]
  /** The image that new hosts boot; undefined: nothing is launched. */
  readonly activeImage: Image | undefined
  /** Every host that may cost money, LAUNCHING to TERMINATING, in order of id. */
  readonly hosts: readonly HostView[]
  /** What the provider has said no to; those whose end has come may still be among them. In order of id. */
  readonly blockedOfferings: readonly BlockedOffering[]
  /** Users in the wait queue whose demand counts in this region. */
  readonly waitingUsers: number
  /** Milliseconds since the epoch; no launch before it. Undefined when launches are not held back. */
  readonly launchBlockedUntil: number | undefined
}
