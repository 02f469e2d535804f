/** What can be asked of a provider in one call. */
export interface Offering {
  readonly instanceType: string
  /** '' where the provider has none. */
  readonly zone: string
  readonly lifecycle: Lifecycle
  /** Agents that one such machine holds. */
  readonly agents: number
}

export const lifecycles = ['on-demand', 'spot'] as const
export type Lifecycle = (typeof lifecycles)[number]

/** One row of `fleet.blocked_offerings`: the provider said no, and is not asked for it before `until`. */
export interface BlockedOffering {
  readonly id: string
  readonly regionId: string
  readonly instanceType: string
  readonly zone: string
  readonly lifecycle: Lifecycle
  readonly code: string
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly revision: number
}

/** The block that keeps the offering from being asked for now; undefined when nothing does. */
export function blockOf(
  offering: Pick<Offering, 'instanceType' | 'zone' | 'lifecycle'>,
  blocks: readonly BlockedOffering[],
  now: number,
): BlockedOffering | undefined {
  return blocks.find(
    (block) =>
      block.until > now &&
      block.instanceType === offering.instanceType &&
      block.zone === offering.zone &&
      block.lifecycle === offering.lifecycle,
  )
}

/** Those that hold back something now, the first to end first. */
export function openBlocks({
  blockedOfferings,
  now,
}: {
  readonly blockedOfferings: readonly BlockedOffering[]
  readonly now: number
}): readonly BlockedOffering[] {
  return blockedOfferings.filter((block) => block.until > now).toSorted((a, b) => a.until - b.until)
}

/** Such as `m7i.large us-east-1a spot`. */
export function offeringText({
  instanceType,
  zone,
  lifecycle,
}: Pick<Offering, 'instanceType' | 'zone' | 'lifecycle'>): string {
  return [instanceType, zone, lifecycle].filter((part) => part !== '').join(' ')
}
