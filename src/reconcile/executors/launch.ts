/**
 * One call of a launch (docs/design/offerings.md): the first offering that is not blocked, its request resolved and
 * stored, then sent. A repeat after a crash or a lost answer sends the stored request again, under the same token, and
 * never asks for another offering; a refusal ends this call and stores the next one.
 */
import { createHash } from 'node:crypto'

import type { FaultPoint } from '../../lib/fault-points.ts'
import { launchOf } from '../../model/action.ts'
import type { HostHandler, LaunchErrorCode, LaunchResult, ProviderRegion } from '../../model/host-handler.ts'
import { LaunchError } from '../../model/host-handler.ts'
import type { BlockedOffering } from '../../model/offering.ts'
import type { BegunCall, FleetStore, LaunchOutcome } from '../../store/fleet-store.ts'
import type { ActionOf, AttemptResult } from '../action-queue.ts'
import { FreshBlocks } from './fresh-blocks.ts'
import { chooseOffering } from './launch-offering.ts'
import type { OfferingChoice } from './launch-offering.ts'

/** What is held of a region, as of now. */
export interface LaunchRegion extends ProviderRegion {
  readonly blockedOfferings: readonly BlockedOffering[]
}

export interface LaunchDependencies {
  readonly store: Pick<FleetStore, 'beginCall' | 'settleCall' | 'refuseCall' | 'finishLaunch'>
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly regionOf: (regionId: string) => LaunchRegion | undefined
  readonly now: () => number
  readonly fence: () => number | undefined
  readonly fleetId: () => string
  /** Of each root that the daemons' certificates may chain to. */
  readonly caPins: () => readonly string[]
  /** The enrolment token of one attempt of a launch; the same one at each call. */
  readonly tokenOf: (
    launchId: string,
    attempt: number,
  ) => { readonly text: string; readonly id: string; readonly secretHash: string }
  /** Why managers on machines elsewhere would not find the daemon; undefined: they do. */
  readonly noWayHome?: string | undefined
  /** How long an offering that was refused is not asked for again, in seconds. */
  readonly blockS: { readonly capacity: number; readonly quota: number }
  /** One call, or one that could not be made: 'whole', 'partial', or the code of its failure. */
  readonly count?: (regionId: string, outcome: string) => void
  readonly fault: FaultPoint
}

/** How long the hosts of a launch may enrol, in seconds from the last time that it was asked for. */
const tokenLifetimeS = 15 * 60

type Launch = ActionOf<'launch'>
/** A call that is about to be stored, or was. */
type Call = Pick<BegunCall, 'offering' | 'request'>
interface Failure {
  readonly code: LaunchErrorCode
  readonly message: string
  readonly providerCode: string | undefined
  readonly attemptsAtMost: number
}

export function createLaunchExecutor(dependencies: LaunchDependencies) {
  const { store, fault, fence, fleetId } = dependencies
  /** Calls that this daemon has stored: a repeat resolves nothing again. */
  const calls = new Map<string, Call>()
  /** Of codes that nobody has classified: how often in a row each action has met one. */
  const strange = new Map<string, { readonly providerCode: string; readonly times: number }>()

  const fresh = new FreshBlocks()

  const forget = (action: Launch): void => {
    calls.delete(action.id)
    strange.delete(action.id)
  }

  return async (action: Launch, signal: AbortSignal): Promise<AttemptResult> => {
    const { launchId, attempt } = launchOf(action.id)
    const region = dependencies.regionOf(action.regionId)
    if (region === undefined) return again('region-unknown', 'the region is not read yet, or is gone')
    const handler = await dependencies.handlerOf(action.regionId).catch((error: unknown) => {
      // Nothing was ever asked of a provider that could not even be loaded: the region need not wait for it.
      if (action.attempts === 1 && action.request === null) return refusal(error)
      throw error
    })
    if ('code' in handler)
      return finish(action, { cloudIds: [], code: 'invalid-request', message: handler.message })

    let call = calls.get(action.id) ?? storedCall(action)
    if (call === undefined) {
      const resolved = await resolve(handler, region, action, signal).catch(refusal)
      if ('blockedUntil' in resolved) {
        const { message, blockedUntil: until } = resolved
        return finish(action, { cloudIds: [], code: 'insufficient-capacity', message, until })
      }
      if ('code' in resolved) return settle(action, handler, region, resolved, signal)
      call = resolved
    }

    const lease = fence()
    if (lease === undefined) return again('standby', 'the lease was lost meanwhile')
    const token = dependencies.tokenOf(launchId, attempt)
    const begun = await store.beginCall(action.id, lease, call.offering, call.request, {
      id: token.id,
      secretHash: token.secretHash,
      uses: action.params.count,
      lifetimeS: tokenLifetimeS,
    })
    if (begun === undefined) return again('not-stored', 'it had ended, or the lease has')
    if (begun === 'cancelled') {
      forget(action)
      return { outcome: 'done', message: 'its hosts are not wanted any more; nothing was asked for' }
    }
    calls.set(action.id, begun)
    fault('launch.before-call')
    let result: LaunchResult
    try {
      result = await handler.launch(
        {
          ...action.params,
          fleetId: fleetId(),
          regionId: action.regionId,
          launchId,
          attempt,
          offering: begun.offering,
          request: begun.request,
          isRepeat: begun.isRepeat,
          token: idempotencyToken(fleetId(), action, begun),
          enrolmentToken: token.text,
          caPins: dependencies.caPins(),
        },
        signal,
      )
    } catch (error) {
      fault('launch.after-call')
      const failure = refusal(error)
      // The earlier one may have been carried out before the permission went: its machines are still asked for.
      if (begun.isRepeat && failure.code === 'unauthorized') {
        dependencies.count?.(action.regionId, failure.code)
        return again(failure.code, failure.message)
      }
      return settle(action, handler, region, failure, signal)
    }
    fault('launch.after-call')
    const { cloudIds, shortfall } = result
    dependencies.count?.(action.regionId, cloudIds.length < action.params.count ? 'partial' : 'whole')
    const blockS = shortfall === undefined ? 0 : block(handler, action, shortfall.code)
    return finish(action, { cloudIds, ...shortfall, blockS })
  }

  /** The call failed: again later, another offering, or the launch's end. */
  async function settle(
    action: Launch,
    handler: HostHandler,
    region: LaunchRegion,
    given: Failure,
    signal: AbortSignal,
  ): Promise<AttemptResult> {
    const failure = count(action, given)
    const { code, message } = failure
    dependencies.count?.(action.regionId, code)
    if (code === 'unknown') return again(code, message)
    if (code === 'transient' || code === 'throttled') {
      const lease = fence()
      if (lease !== undefined && calls.has(action.id)) await store.settleCall(action.id, lease)
      return again(code, message)
    }
    const blockS = block(handler, action, code)
    if (blockS === 0) return finish(action, { cloudIds: [], code, message })
    const next = await choose(handler, region, signal).catch(refusal)
    if ('code' in next) return again(next.code, next.message)
    const lease = fence()
    if (lease === undefined) return again('standby', 'the lease was lost meanwhile')
    if (!('offering' in next)) {
      const { blockedUntil: until, message: why } = next
      return finish(action, { cloudIds: [], code, message: `${message}; ${why}`, blockS, until })
    }
    const stored = await store.refuseCall(action.id, lease, { code, message, blockS, next: next.offering })
    fault('launch.after-refusal')
    if (stored === undefined) return again('not-stored', 'it had ended, or the lease has')
    forget(action)
    return {
      outcome: 'done',
      message: `${code}: ${message}`,
      ...(stored.next === undefined ? {} : { next: stored.next }),
    }
  }

  async function finish(action: Launch, outcome: LaunchOutcome): Promise<AttemptResult> {
    const lease = fence()
    if (lease === undefined) return again('standby', 'the lease was lost meanwhile')
    const isStored = await store.finishLaunch(action.id, lease, outcome)
    fault('launch.after-finish')
    if (!isStored) return again('not-stored', 'it had ended, or the lease has')
    forget(action)
    const asked = action.params.count
    return {
      outcome: 'done',
      message: `${outcome.cloudIds.length} of ${asked} hosts${outcome.code ? `: ${outcome.code}` : ''}`,
    }
  }

  async function resolve(
    handler: HostHandler,
    region: LaunchRegion,
    action: Launch,
    signal: AbortSignal,
  ): Promise<Call | Exclude<OfferingChoice, { offering: unknown }>> {
    const { launchId, attempt } = launchOf(action.id)
    if (handler.machinesAreElsewhere === true && dependencies.noWayHome !== undefined) {
      throw new LaunchError('invalid-request', dependencies.noWayHome)
    }
    const choice =
      action.offering === null ? await choose(handler, region, signal) : { offering: action.offering }
    if (!('offering' in choice)) return choice
    const { offering } = choice
    const wish = {
      ...action.params,
      fleetId: fleetId(),
      regionId: action.regionId,
      launchId,
      attempt,
      offering,
      enrolmentToken: dependencies.tokenOf(launchId, attempt).text,
      caPins: dependencies.caPins(),
    }
    return { offering, request: (await handler.resolve?.(wish, region, signal)) ?? {} }
  }

  async function choose(
    handler: HostHandler,
    region: LaunchRegion,
    signal: AbortSignal,
  ): Promise<OfferingChoice> {
    const offerings = await handler.offerings?.(region, signal)
    const now = dependencies.now()
    // A call may take a minute: others have been refused meanwhile.
    const { blockedOfferings } = dependencies.regionOf(region.id) ?? region
    return chooseOffering(region, offerings, fresh.with(region.id, blockedOfferings, now), now)
  }

  /**
   * Of an offering that was refused: for how many seconds, 0 for not at all. A provider with one kind of machine has
   * nothing else to offer: its region is held back, as ever.
   */
  function block(handler: HostHandler, action: Launch, code: string): number {
    const offering = calls.get(action.id)?.offering ?? action.offering
    if (handler.offerings === undefined) return 0
    const seconds =
      code === 'insufficient-capacity'
        ? dependencies.blockS.capacity
        : code === 'quota-exceeded'
          ? dependencies.blockS.quota
          : 0
    if (seconds === 0) return 0
    const now = dependencies.now()
    if (offering !== null) fresh.add(action.regionId, offering, code, now + seconds * 1000, now)
    return seconds
  }

  function count(action: Launch, failure: Failure): Failure {
    const { providerCode, attemptsAtMost } = failure
    if (attemptsAtMost === Infinity || providerCode === undefined) {
      strange.delete(action.id)
      return failure
    }
    const before = strange.get(action.id)
    const times = before?.providerCode === providerCode ? before.times + 1 : 1
    strange.set(action.id, { providerCode, times })
    if (times <= attemptsAtMost) return failure
    return { ...failure, code: 'invalid-request', message: `${failure.message} (${times} times)` }
  }
}

function storedCall({ offering, request }: Launch): Call | undefined {
  return offering === null || request === null ? undefined : { offering, request }
}

const again = (code: string, message: string): AttemptResult => ({ outcome: 'failed', code, message })

/** What is not a typed refusal may have been carried out. */
function refusal(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof LaunchError)) {
    return { code: 'unknown', message, providerCode: undefined, attemptsAtMost: Infinity }
  }
  const { code, providerCode, attemptsAtMost } = error
  return { code, message, providerCode, attemptsAtMost }
}

/** Of this fleet: another one's launches are numbered alike. */
function idempotencyToken(fleetId: string, action: Launch, { offering, request }: BegunCall): string {
  return createHash('sha256')
    .update(JSON.stringify([fleetId, action.id, action.params, offering, request]))
    .digest('hex')
}
