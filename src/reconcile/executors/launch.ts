import { createHash } from 'node:crypto'

import type { FaultPoint } from '../../lib/fault-points.ts'
import type { HostHandler } from '../../model/host-handler.ts'
import { LaunchError } from '../../model/host-handler.ts'
import type { FleetStore, LaunchOutcome } from '../../store/fleet-store.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import type { ActionOf, AttemptResult } from '../action-queue.ts'

export interface LaunchDependencies {
  readonly store: Pick<FleetStore, 'finishLaunch'>
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fence: () => number | undefined
  readonly trust: Pick<TrustStore, 'storeLaunchToken'>
  readonly fleetId: string
  /** Of each root that the daemons' certificates may chain to. */
  readonly caPins: () => readonly string[]
  /** The enrolment token of one attempt of a launch; the same one at each call. */
  readonly tokenOf: (
    launchId: string,
    attempt: number,
  ) => { readonly text: string; readonly id: string; readonly secretHash: string }
  readonly fault: FaultPoint
}

/** A refusal that is final ends the launch; it never grows within one action, so the attempt in both tokens is 1. */
const attempt = 1
/** How long the hosts of a launch may enrol, in seconds from the last time that it was asked for. */
const tokenLifetimeS = 15 * 60

/**
 * Ask the provider for the hosts of a launch. The request is the stored one and its token follows from it, so a repeat
 * after a crash or a lost answer asks for the same hosts again.
 */
export function createLaunchExecutor(dependencies: LaunchDependencies) {
  const { fault } = dependencies
  return async (action: ActionOf<'launch'>, signal: AbortSignal): Promise<AttemptResult> => {
    const handler = await dependencies.handlerOf(action.regionId).catch((error: unknown) => {
      // Nothing was ever asked of a provider that could not even be loaded: the region need not wait for it.
      if (action.attempts === 1) return { code: 'invalid-request', message: messageOf(error) } as const
      throw error
    })
    fault('launch.before-call')
    const outcome =
      'code' in handler
        ? { cloudIds: [], ...handler }
        : await callProvider(dependencies, handler, action, signal)
    fault('launch.after-call')
    if ('retry' in outcome) return { outcome: 'failed', ...outcome.retry }
    const fence = dependencies.fence()
    if (fence === undefined)
      return { outcome: 'failed', code: 'standby', message: 'the lease was lost meanwhile' }
    const isStored = await dependencies.store.finishLaunch(action.id, fence, outcome)
    fault('launch.after-finish')
    if (!isStored) return { outcome: 'failed', code: 'not-stored', message: 'it had ended, or the lease has' }
    const asked = action.params.count
    return {
      outcome: 'done',
      message: `${outcome.cloudIds.length} of ${asked} hosts${outcome.code ? `: ${outcome.code}` : ''}`,
    }
  }
}

async function callProvider(
  { trust, fence, fleetId, caPins, tokenOf, fault }: LaunchDependencies,
  handler: HostHandler,
  action: ActionOf<'launch'>,
  signal: AbortSignal,
): Promise<LaunchOutcome | { readonly retry: { readonly code: string; readonly message: string } }> {
  const { text, id, secretHash } = tokenOf(action.id, attempt)
  const token = { launchId: action.id, id, secretHash, uses: action.params.count, lifetimeS: tokenLifetimeS }
  // Before the machines, which dial as soon as they run. A repeat stores nothing but a later end.
  if (!(await trust.storeLaunchToken(token, fence() ?? 0))) {
    return { retry: { code: 'standby', message: 'the lease was lost meanwhile' } }
  }
  fault('launch.after-token')
  try {
    const result = await handler.launch(
      {
        ...action.params,
        fleetId,
        regionId: action.regionId,
        launchId: action.id,
        token: idempotencyToken(fleetId, action),
        enrolmentToken: text,
        caPins: caPins(),
        attempt,
      },
      signal,
    )
    return { cloudIds: result.cloudIds, ...result.shortfall }
  } catch (error) {
    // What is not a typed refusal may have been carried out.
    const code = error instanceof LaunchError ? error.code : 'unknown'
    const message = messageOf(error)
    if (code === 'transient' || code === 'unknown') return { retry: { code, message } }
    return { cloudIds: [], code, message }
  }
}

/** Of this fleet: another one's launches are numbered alike. */
function idempotencyToken(fleetId: string, action: ActionOf<'launch'>): string {
  return createHash('sha256')
    .update(JSON.stringify([fleetId, action.id, attempt, action.params]))
    .digest('hex')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
