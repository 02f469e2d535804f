/**
 * Blocks of offerings that this daemon has just stored. The mirror hears of them a moment later, and the next call is
 * chosen at once: it would ask for what was refused a moment ago.
 */
import type { BlockedOffering, Offering } from '../../model/offering.ts'

/** By then the mirror knows, or somebody has lifted the block; in milliseconds. */
const mirrorLagMs = 30_000

export class FreshBlocks {
  readonly #blocks = new Map<string, { readonly block: BlockedOffering; readonly keptUntil: number }>()

  add(regionId: string, offering: Offering, code: string, until: number, now: number): void {
    const { instanceType, zone, lifecycle } = offering
    const id = [regionId, instanceType, zone, lifecycle].join('|')
    const block = { id, regionId, instanceType, zone, lifecycle, code, reason: '', until, revision: 0 }
    this.#blocks.set(id, { block, keptUntil: now + mirrorLagMs })
  }

  /** The mirror's, and those that it has not heard of. */
  with(regionId: string, mirrored: readonly BlockedOffering[], now: number): readonly BlockedOffering[] {
    const standing = new Set(mirrored.filter(({ until }) => until > now).map(({ id }) => id))
    const unheard: BlockedOffering[] = []
    for (const [id, { block, keptUntil }] of this.#blocks) {
      if (keptUntil <= now || standing.has(id)) this.#blocks.delete(id)
      else if (block.regionId === regionId) unheard.push(block)
    }
    return [...mirrored, ...unheard]
  }
}
