/** Which of a region's offerings a call asks for: the first, in the provider's order, that is not blocked. */
import type { ProviderRegion } from '../../model/host-handler.ts'
import { blockOf, offeringText } from '../../model/offering.ts'
import type { BlockedOffering, Offering } from '../../model/offering.ts'

export type OfferingChoice =
  | { readonly offering: Offering }
  /** Nothing may be asked for before then (milliseconds since the epoch). */
  | { readonly blockedUntil: number; readonly message: string }

/** A provider that lists no `offerings` has one kind of machine, and none of it is ever blocked. */
export function chooseOffering(
  region: ProviderRegion,
  offerings: readonly Offering[] | undefined,
  blocks: readonly BlockedOffering[],
  now: number,
): OfferingChoice {
  if (offerings === undefined) {
    const instanceType = region.instanceTypes[0] ?? ''
    return { offering: { instanceType, zone: '', lifecycle: 'on-demand', agents: region.agentsPerHost ?? 1 } }
  }
  const reasons: string[] = []
  let blockedUntil = Infinity
  for (const offering of offerings) {
    const block = blockOf(offering, blocks, now)
    if (block === undefined) return { offering }
    blockedUntil = Math.min(blockedUntil, block.until)
    reasons.push(`${offeringText(offering)}: ${block.code}`)
  }
  const message = `every offering is blocked (${reasons.slice(0, 10).join('; ')}${reasons.length > 10 ? '; …' : ''})`
  return { blockedUntil: blockedUntil === Infinity ? now : blockedUntil, message }
}
