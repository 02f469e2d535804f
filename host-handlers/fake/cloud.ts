import { createHash } from 'node:crypto'

import type { Clock } from '../../src/lib/clock.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { CloudHost, LaunchErrorCode, LaunchResult, LaunchSpec } from '../../src/model/host-handler.ts'
import type { Offering } from '../../src/model/offering.ts'
import { lostReply, refusal } from './errors.ts'

/** What goes wrong with one coming call. */
export type FakeFault =
  /** Refused, and surely not carried out (but for `unknown`, of which nobody can be sure). */
  | { readonly kind: 'refused'; readonly code: LaunchErrorCode }
  /** Fewer machines than asked for. */
  | { readonly kind: 'partial'; readonly machines: number; readonly code: LaunchErrorCode }
  /** Carried out; the answer never arrives. */
  | { readonly kind: 'lost-reply' }

export type FakeCall = 'launch' | 'list' | 'terminate'

export interface FakeMachine extends CloudHost {
  readonly regionId: string
  readonly spec: LaunchSpec
}

export interface FakeCloudOptions {
  readonly clock: Clock
  readonly quota?: number | undefined
  readonly launchMs?: number
  readonly terminateMs?: number
  /** What may be asked for, in order of preference; without it there is one kind of machine. */
  readonly offerings?: readonly Offering[]
  /**
   * Whether a token stands for one outcome, machines or none for want of them, however often and late its request arrives;
   * false: each request is one of its own. True unless told.
   */
  readonly keepsTokens?: boolean
  /** How long a fresh machine is hidden from lists, in milliseconds. */
  readonly hiddenMs?: number
  /** What goes wrong with a launch that no test has set a fault for, and that was not answered before. */
  readonly launchFault?: (spec: LaunchSpec) => FakeFault | undefined
}

/**
 * A cloud in memory, with the manners of a real one: idempotency tokens, quotas, partial launches, answers that get
 * lost. A test sets what goes wrong and reads what machines really exist, whatever the caller believes.
 */
export class FakeCloud {
  readonly #options: FakeCloudOptions
  readonly #machines = new Map<string, FakeMachine>()
  readonly #launches = new Map<string, { readonly params: string; readonly result: LaunchResult }>()
  readonly #refusals = new Map<string, Refusal>()
  readonly #faults = new Map<FakeCall, FakeFault[]>()
  readonly #endings = new Map<string, number>()
  readonly #calls = new Map<FakeCall, number>()
  #requests = 0
  quota: number

  constructor(options: FakeCloudOptions) {
    this.#options = options
    this.quota = options.quota ?? Infinity
  }

  /** Machines that exist now and cost money. */
  get machines(): readonly FakeMachine[] {
    this.#endDue()
    return [...this.#machines.values()]
  }

  callsOf(call: FakeCall): number {
    return this.#calls.get(call) ?? 0
  }

  get offerings(): readonly Offering[] | undefined {
    return this.#options.offerings
  }

  get keepsTokens(): boolean {
    return this.#options.keepsTokens ?? true
  }

  /** Resolves once a machine that was made before now is not hidden any more. */
  async untilShown(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(this.#options.hiddenMs ?? 0, signal)
  }

  /** The next call of this kind that has no fault yet goes wrong so. */
  fault(call: FakeCall, fault: FakeFault): void {
    this.#faults.set(call, [...(this.#faults.get(call) ?? []), fault])
  }

  /** A machine ends by itself: a spot interruption, a failed disk. */
  lose(cloudId: string): void {
    this.#machines.delete(cloudId)
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult> {
    const known = this.keepsTokens ? this.#launches.get(spec.token) : undefined
    const fault = this.#begin('launch', signal) ?? (known === undefined ? this.#faultOf(spec) : undefined)
    if (fault?.kind === 'refused') throw refusal(fault.code)
    const most = fault?.kind === 'partial' ? fault : undefined
    const result = known === undefined ? this.#create(spec, most) : sameAgain(known, spec)
    await this.#options.clock.sleep(this.#options.launchMs ?? 0, signal)
    if (fault?.kind === 'lost-reply') throw lostReply()
    return result
  }

  list(regionId: string, fleetId: string, signal: AbortSignal): readonly CloudHost[] {
    const fault = this.#begin('list', signal)
    if (fault?.kind === 'refused') throw refusal(fault.code)
    if (fault?.kind === 'lost-reply') throw lostReply()
    const shownBefore = this.#options.clock.now() - (this.#options.hiddenMs ?? 0)
    return this.machines
      .filter((machine) => machine.regionId === regionId && machine.fleetId === fleetId)
      .filter((machine) => machine.startedAt <= shownBefore)
      .map(({ cloudId, launchId, startedAt }) => ({ cloudId, launchId, fleetId, startedAt }))
  }

  terminate(
    cloudIds: readonly string[],
    fleetId: string,
    signal: AbortSignal,
  ): ReadonlyMap<string, 'accepted' | 'gone'> {
    const fault = this.#begin('terminate', signal)
    if (fault?.kind === 'refused') throw refusal(fault.code)
    this.#endDue()
    const { clock, terminateMs = 0 } = this.#options
    const answers = new Map<string, 'accepted' | 'gone'>()
    for (const cloudId of cloudIds) {
      const exists = this.#machines.get(cloudId)?.fleetId === fleetId
      answers.set(cloudId, exists ? 'accepted' : 'gone')
      if (exists && !this.#endings.has(cloudId)) this.#endings.set(cloudId, clock.now() + terminateMs)
    }
    if (fault?.kind === 'lost-reply') throw lostReply()
    return answers
  }

  #faultOf(spec: LaunchSpec): FakeFault | undefined {
    const refused = this.#refusals.get(spec.token)
    if (refused !== undefined) return refused
    const fault = this.#options.launchFault?.(spec)
    if (fault?.kind === 'refused') this.#remember(spec, fault)
    return fault
  }

  /** That there were none: a request that arrives late does not make what its repeat was refused. */
  #remember({ token }: LaunchSpec, refused: Refusal): void {
    if (this.keepsTokens && isWant(refused.code)) this.#refusals.set(token, refused)
  }

  #begin(call: FakeCall, signal: AbortSignal): FakeFault | undefined {
    signal.throwIfAborted()
    this.#calls.set(call, this.callsOf(call) + 1)
    return this.#faults.get(call)?.shift()
  }

  #create(spec: LaunchSpec, most: Extract<FakeFault, { kind: 'partial' }> | undefined): LaunchResult {
    const room = Math.max(0, this.quota - this.machines.length)
    const count = Math.min(spec.count, room, most?.machines ?? Infinity)
    const code = room < spec.count ? 'quota-exceeded' : (most?.code ?? 'insufficient-capacity')
    if (count === 0 && spec.count > 0) {
      this.#remember(spec, { kind: 'refused', code })
      throw refusal(code)
    }
    this.#requests += 1
    const source = this.keepsTokens ? spec.token : `${spec.token} ${this.#requests}`
    const names = Array.from({ length: count }, (_, index) => `fake-${digest(source)}-${index}`)
    for (const cloudId of names) {
      const { launchId, fleetId, regionId } = spec
      const startedAt = this.#options.clock.now()
      this.#machines.set(cloudId, { cloudId, launchId, fleetId, regionId, startedAt, spec })
    }
    const shortfall = { code, message: `${count} of ${spec.count} machines` } as const
    const result = count < spec.count ? { cloudIds: names, shortfall } : { cloudIds: names }
    this.#launches.set(spec.token, { params: paramsOf(spec), result })
    return result
  }

  #endDue(): void {
    for (const [cloudId, at] of this.#endings) {
      if (at > this.#options.clock.now()) continue
      this.#machines.delete(cloudId)
      this.#endings.delete(cloudId)
    }
  }
}

type Refusal = Extract<FakeFault, { kind: 'refused' }>

function isWant(code: LaunchErrorCode): boolean {
  return code === 'insufficient-capacity' || code === 'quota-exceeded'
}

/** A token stands for one request: with other parameters it is a mistake of the caller, as it is to EC2. */
function sameAgain(
  known: { readonly params: string; readonly result: LaunchResult },
  spec: LaunchSpec,
): LaunchResult {
  if (known.params === paramsOf(spec)) return known.result
  throw new LaunchError('invalid-request', 'this token was used with other parameters')
}

function paramsOf(spec: LaunchSpec): string {
  return JSON.stringify([
    spec.regionId,
    spec.launchId,
    spec.image,
    spec.count,
    spec.offering ?? spec.instanceTypes,
  ])
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
