import type { LaunchParams } from './action.ts'
import type { JsonObject } from './json.ts'
import type { Offering } from './offering.ts'
import type { Region } from './region.ts'

/** What of a region's row a provider is told. */
export interface ProviderRegion extends Pick<Region, 'id' | 'instanceTypes'> {
  /** null: as many as the instance type holds. */
  readonly agentsPerHost: number | null
  /** `regions.provider_options` as it stands in the row: the provider parses it, all faults together. */
  readonly providerOptions: unknown
  /** The provider's name of the ACTIVE image; undefined where there is none. */
  readonly image?: string | undefined
}

/** One launch, as the handler gets it. The same `token` twice means the same hosts. */
export interface LaunchSpec extends LaunchParams {
  readonly fleetId: string
  readonly regionId: string
  readonly launchId: string
  /** The cloud's idempotency token: launch id, attempt and a hash of the parameters. Hex, 64 characters. */
  readonly token: string
  /** Redeemed by the hosts' managers for a certificate of their own; a secret. */
  readonly enrolmentToken: string
  /** `sha256/<base64url>` of each root's public key: which daemon the managers may tell the token to. */
  readonly caPins: readonly string[]
  /** Of the launch, from 1: it grows only after a definite refusal. */
  readonly attempt?: number
  /** Which of the region's offerings; left out where the provider has one kind of machine. */
  readonly offering?: Offering
  /** What `resolve` gave, as stored before the call: sent as it is. */
  readonly request?: JsonObject
  /** false: this request was surely never sent before. A provider without idempotency tokens looks before a repeat. */
  readonly isRepeat?: boolean
}

/** A launch before its request is resolved. */
export type LaunchWish = Omit<LaunchSpec, 'token' | 'request' | 'isRepeat'>

/** What a launch came to. Fewer machines than asked for is a result, not an error; `shortfall` says why. */
export interface LaunchResult {
  readonly cloudIds: readonly string[]
  readonly shortfall?: { readonly code: LaunchErrorCode; readonly message: string }
}

/** One machine that the provider has and that bears this fleet's tag. */
export interface CloudHost {
  readonly cloudId: string
  readonly launchId: string
  /** As the machine's own tag says: the sweep touches no machine of another fleet, whatever a list gives. */
  readonly fleetId: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** The id of its host, as the machine itself is marked with; undefined: it is not, or cannot be. */
  readonly label?: string | undefined
}

/**
 * Why a launch failed, required of every handler:
 * `transient` was surely not carried out and is tried again; `unknown` was perhaps carried out and is repeated with
 * the same token until it is answered; the others end the launch and hold back the region's next one.
 */
export const launchErrorCodes = [
  'insufficient-capacity',
  'quota-exceeded',
  'throttled',
  'unauthorized',
  'invalid-request',
  'transient',
  'unknown',
] as const
export type LaunchErrorCode = (typeof launchErrorCodes)[number]

export interface LaunchErrorOptions {
  readonly cause?: unknown
  /** The provider's own code of it, for the log. */
  readonly providerCode?: string | undefined
  /**
   * How many attempts in a row may end with this `providerCode`; one more counts as `invalid-request`. For codes that
   * nobody has classified yet: they may pass by themselves, and must not be asked for ever.
   */
  readonly attemptsAtMost?: number | undefined
}

export class LaunchError extends Error {
  override readonly name = 'LaunchError'
  readonly code: LaunchErrorCode
  readonly providerCode: string | undefined
  readonly attemptsAtMost: number

  constructor(code: LaunchErrorCode, message: string, options: LaunchErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.providerCode = options.providerCode
    this.attemptsAtMost = options.attemptsAtMost ?? Infinity
  }
}

/** The door to one provider of machines. Nothing of the provider's SDK passes it. */
export interface HostHandler {
  /** false: its machines join by themselves and nobody lists them, so the sweep takes none of them for gone. */
  readonly listsMachines?: false
  /**
   * true: its machines are not the daemon's own, so they cannot dial 127.0.0.1. Nothing is launched until
   * MUSTER_MANAGER_ADVERTISE is set, and the region says so.
   */
  readonly machinesAreElsewhere?: true
  /** @throws LaunchError */
  launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult>
  /** Every machine of this fleet in the region: what it leaves out, the sweep takes for gone. */
  list(regionId: string, signal: AbortSignal): AsyncIterable<CloudHost>
  /**
   * Repeated by the caller until every machine is 'gone'. `regionId` is theirs: a provider whose ids do not say where
   * a machine is needs it.
   */
  terminate(
    cloudIds: readonly string[],
    signal: AbortSignal,
    regionId?: string,
  ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>>
  /**
   * Mark machines (cloud id to the id of their host) for people who look at the provider's own console. Nothing depends
   * on it: the sweep repairs what is missing, and a failure is put off until it looks again.
   */
  label?(labels: ReadonlyMap<string, string>, regionId: string, signal: AbortSignal): Promise<void>
  /**
   * What may be asked for in the region, in order of preference. Without this member there is one kind of machine.
   *
   * @throws LaunchError `invalid-request` with every fault of the region's options.
   */
  offerings?(region: ProviderRegion, signal: AbortSignal): Promise<readonly Offering[]>
  /**
   * The exact request of a launch, from names and filters; it holds no secret and is stored before the call. Without
   * this member the request is the spec itself. Nothing was asked for when it fails.
   *
   * @throws LaunchError as `launch` does, but never `unknown`.
   */
  resolve?(wish: LaunchWish, region: ProviderRegion, signal: AbortSignal): Promise<JsonObject>
  /** What keeps the region from launching, in plain words, for `check-config --live`; empty: nothing was found. */
  check?(region: ProviderRegion, signal: AbortSignal): Promise<readonly string[]>
}
