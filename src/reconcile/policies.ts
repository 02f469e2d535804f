/** Which algorithm keeps a region, with its options: looked up once for each change of the region's row. */
import type { AssignRequest } from '../model/assignment.ts'
import type { Region } from '../model/region.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import { inWords } from './plan-parsing.ts'
import type { RegionPolicy } from './turn-runner.ts'

interface Held {
  readonly algorithm: string
  readonly options: Region['options']
  readonly policy: RegionPolicy
}

export class Policies {
  readonly #load: (name: string) => Promise<ScalingAlgorithm>
  readonly #held = new Map<string, Held>()

  /** `load` looks an algorithm up by name or module path, and may throw. */
  constructor(load: (name: string) => Promise<ScalingAlgorithm>) {
    this.#load = load
  }

  async of(region: Region): Promise<RegionPolicy> {
    const held = this.#held.get(region.id)
    if (held !== undefined && isOf(held, region)) return held.policy
    const policy = await this.#find(region)
    this.#held.set(region.id, { algorithm: region.algorithm, options: region.options, policy })
    return policy
  }

  /** Whom to offer first; undefined when the region's algorithm has no opinion, or failed to give one. */
  rank(regionId: string, snapshot: RegionSnapshot, request: AssignRequest): readonly string[] | undefined {
    const held = this.#held.get(regionId)?.policy
    if (held === undefined || !('rank' in held.algorithm)) return undefined
    try {
      return held.algorithm.rank(snapshot, request, held.options)
    } catch {
      // The same algorithm's turns put its faults on record; a user is served all the same.
      return undefined
    }
  }

  async #find(region: Region): Promise<RegionPolicy> {
    const name = region.algorithm
    let algorithm: ScalingAlgorithm
    try {
      algorithm = await this.#load(name)
    } catch (error) {
      return faulty(name, error instanceof Error ? error.message : String(error))
    }
    try {
      const parsed = algorithm.options.safeParse(region.options)
      if (parsed.success) return { algorithm, options: parsed.data }
      const faults = parsed.error.issues.map(
        ({ path, message }) => `${path.map(String).join('.') || 'options'}: ${message}`,
      )
      return faulty(name, `the region's options are wrong: ${faults.join('; ')}`)
    } catch (error) {
      // An outside module's schema may throw where it should answer; upkeep must go on all the same.
      return faulty(name, `its options cannot be read: ${inWords(error)}`)
    }
  }
}

function faulty(name: string, fault: string): RegionPolicy {
  return { algorithm: { name, fault }, options: undefined }
}

function isOf(held: Held, region: Region): boolean {
  return held.algorithm === region.algorithm && held.options === region.options
}
