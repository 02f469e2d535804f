/**
 * What goes wrong with the calls of a daemon, drawn from a seed: while the storm lasts, each call may meet a fault by
 * chance, and some calls meet one that this seed is to show (`focus`), so that a few seeds together show every fault of
 * every call.
 */
import type { Chance } from './chance.ts'

export const faultKinds = [
  /** Never arrives; an error is given. */
  'lost-request',
  /** Carried out; an error is given. */
  'lost-reply',
  /** Arrives late, so that its caller may have given it up. */
  'late',
  /** Carried out at once, and once more later. */
  'repeated',
  /** The daemon dies before it is sent. */
  'kill-before',
  /** The daemon dies once it is sent; it arrives later. */
  'kill-under-way',
  /** The daemon dies between its being carried out and its answer. */
  'kill-after',
] as const
export type FaultKind = (typeof faultKinds)[number]

export const isKill = (fault: FaultKind): boolean => fault.startsWith('kill')

export interface FaultPlanOptions {
  readonly chance: Chance
  /** Of a call, to meet a fault that is no kill; 0 to 1. */
  readonly faultRate: number
  /** Of a call, to kill; 0 to 1. */
  readonly killRate: number
  readonly mostKills: number
  /** `call fault`, each met once, as soon as the call is made. */
  readonly focus: readonly string[]
  /** While it is on, every such call meets the fault. */
  readonly outage: { readonly call: string; readonly isOn: () => boolean; readonly fault: FaultKind }
}

export class FaultPlan {
  readonly #options: FaultPlanOptions
  readonly #focus: Map<string, FaultKind[]>
  readonly #hits = new Map<string, number>()
  #kills = 0
  #isStorming = true

  constructor(options: FaultPlanOptions) {
    this.#options = options
    this.#focus = new Map()
    for (const pair of options.focus) {
      const [call = '', fault] = pair.split(' ')
      this.#focus.set(call, [...(this.#focus.get(call) ?? []), fault as FaultKind])
    }
  }

  /** From now on nothing goes wrong any more. */
  calm(): void {
    this.#isStorming = false
  }

  /** How often each `call fault` was met. */
  get hits(): ReadonlyMap<string, number> {
    return this.#hits
  }

  /** The fault of a call that is about to be made. */
  draw(call: string): FaultKind | undefined {
    if (!this.#isStorming) return undefined
    const fault = this.#focused(call) ?? this.#byChance() ?? this.#byOutage(call)
    if (fault === undefined) return undefined
    if (isKill(fault)) {
      if (this.#kills >= this.#options.mostKills) return undefined
      this.#kills += 1
    }
    const pair = `${call} ${fault}`
    this.#hits.set(pair, (this.#hits.get(pair) ?? 0) + 1)
    return fault
  }

  /** Not the first time that the call is made, nor all at once: what goes before would be the same in every seed. */
  #focused(call: string): FaultKind | undefined {
    const faults = this.#focus.get(call)
    if (faults === undefined || faults.length === 0 || !this.#options.chance.happens(0.7)) return undefined
    return faults.shift()
  }

  #byOutage(call: string): FaultKind | undefined {
    const { outage } = this.#options
    return call === outage.call && outage.isOn() ? outage.fault : undefined
  }

  #byChance(): FaultKind | undefined {
    const { chance, faultRate, killRate } = this.#options
    const drawn = chance.draw()
    if (drawn < killRate) return chance.pick(faultKinds.filter(isKill))
    return drawn < killRate + faultRate ? chance.pick(faultKinds.filter((kind) => !isKill(kind))) : undefined
  }
}
