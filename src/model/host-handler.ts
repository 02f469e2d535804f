import type { LaunchParams } from './action.ts'

/** One launch, as the handler gets it. The same `token` twice means the same hosts. */
export interface LaunchSpec extends LaunchParams {
  readonly fleetId: string
  readonly regionId: string
  readonly launchId: string
  /** The cloud's idempotency token: launch id, attempt and a hash of the parameters. Hex, 64 characters. */
  readonly token: string
  /** Redeemed by the hosts' managers for a key of their own; a secret. */
  readonly enrolmentToken: string
  /** `sha256/<base64url>` of each root's public key: which daemon the managers may tell the token to. */
  readonly caPins?: readonly string[]
}

/** What a launch came to. Fewer machines than asked for is a result, not an error; `shortfall` says why. */
export interface LaunchResult {
  readonly cloudIds: readonly string[]
  readonly shortfall?: { readonly code: LaunchErrorCode; readonly message: string }
}

/** One machine that the provider has and that bears this fleet's tag. */
export interface CloudHost {
  readonly cloudId: string
  readonly launchId: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
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

export class LaunchError extends Error {
  override readonly name = 'LaunchError'
  readonly code: LaunchErrorCode

  constructor(code: LaunchErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** The door to one provider of machines. Nothing of the provider's SDK passes it. */
export interface HostHandler {
  /** false: its machines join by themselves and nobody lists them, so the sweep takes none of them for gone. */
  readonly listsMachines?: false
  /** @throws LaunchError */
  launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult>
  /** Every machine of this fleet in the region: what it leaves out, the sweep takes for gone. */
  list(regionId: string, signal: AbortSignal): AsyncIterable<CloudHost>
  /** Repeated by the caller until every machine is 'gone'. */
  terminate(
    cloudIds: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>>
}
