/**
 * One launch: the stored request, sent under its token until it is answered. A token that EC2 keeps makes the second
 * send harmless; a server that does not keep tokens is asked first whether the machines are there, after a wait in which
 * they must have come to light.
 */
import { RunInstancesCommand } from '@aws-sdk/client-ec2'
import type { RunInstancesCommandOutput } from '@aws-sdk/client-ec2'

import type { Clock } from '../../src/lib/clock.ts'
import type { FaultPoint } from '../../src/lib/fault-points.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchResult, LaunchSpec } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import type { Machines } from './machines.ts'
import { parseStoredRequest } from './request.ts'
import type { StoredRequest } from './request.ts'
import { userDataOf } from './user-data.ts'

export interface LaunchMeans {
  readonly ec2: Ec2
  readonly machines: Machines
  readonly clock: Clock
  readonly fault: FaultPoint
  readonly areTokensKept: boolean
  /** How long a fresh machine may be missing from lists, in milliseconds. */
  readonly visibilityMs: number
  /** Tokens of requests that went out from here and got no answer: the next is a repeat, whatever the caller knows. */
  readonly unanswered: Set<string>
}

/** How often machines that must be there are looked for while they may be missing from lists, in milliseconds. */
const lookAgainMs = 1000

/** @throws LaunchError */
export async function sendLaunch(
  means: LaunchMeans,
  spec: LaunchSpec,
  signal: AbortSignal,
): Promise<LaunchResult> {
  signal.throwIfAborted()
  const request = parseStoredRequest(spec.request)
  const found = await lookBefore(means, spec, signal)
  if (found.length >= request.count || (found.length > 0 && !means.areTokensKept)) {
    return resultOf(found, request)
  }
  const userData = userDataOf(request.bootstrap, spec.enrolmentToken)
  if (userData.sha256 !== request.userDataSha256) return unrepeatable(found, request)
  means.fault('aws.before-run')
  let output: RunInstancesCommandOutput
  try {
    output = await means.ec2.send(
      'run',
      new RunInstancesCommand({ ...request.input, ClientToken: spec.token, UserData: userData.base64 }),
      signal,
    )
  } catch (error) {
    if (!(error instanceof LaunchError) || error.code === 'unknown') {
      means.unanswered.add(spec.token)
      throw error
    }
    if (error.providerCode !== 'IdempotentParameterMismatch') throw error
    return acceptedBefore(means, spec, request, error, signal)
  }
  means.fault('aws.after-run')
  const ids = (output.Instances ?? []).flatMap((instance) => instance.InstanceId ?? [])
  if (ids.length === 0) throw new LaunchError('unknown', 'EC2 accepted the launch and named no machines')
  return resultOf(ids.toSorted(), request)
}

/** What an earlier send of the same request has made, as far as it shows. */
async function lookBefore(
  means: LaunchMeans,
  spec: LaunchSpec,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wasSentFromHere = means.unanswered.has(spec.token)
  if (spec.isRepeat === false && !wasSentFromHere) return []
  const isSurelyRepeat = spec.isRepeat === true || wasSentFromHere
  if (isSurelyRepeat && !means.areTokensKept) await means.clock.sleep(means.visibilityMs, signal)
  return means.machines.ofLaunch(spec.launchId, signal)
}

/**
 * EC2 knows the token, with other parameters: the launch went through once. Its machines are found by their tag; when
 * none shows for as long as one may hide, they have ended, or the sweep will find them.
 */
async function acceptedBefore(
  { machines, clock, visibilityMs }: LaunchMeans,
  spec: LaunchSpec,
  request: StoredRequest,
  error: LaunchError,
  signal: AbortSignal,
): Promise<LaunchResult> {
  const until = clock.now() + visibilityMs
  for (;;) {
    const found = await machines.ofLaunch(spec.launchId, signal)
    const isLate = clock.now() >= until
    if (found.length >= request.count || (isLate && found.length > 0)) return resultOf(found, request)
    if (isLate) return { cloudIds: [], shortfall: { code: 'invalid-request', message: error.message } }
    await clock.sleep(Math.min(lookAgainMs, Math.max(1, until - clock.now())), signal)
  }
}

/** Another version of Muster would tell the machines something else than what was asked for: it must not be sent. */
function unrepeatable(found: readonly string[], request: StoredRequest): LaunchResult {
  if (found.length > 0) return resultOf(found, request)
  throw new LaunchError(
    'invalid-request',
    'this launch was resolved by another version of Muster or with another fleet key, and cannot be repeated',
  )
}

function resultOf(ids: readonly string[], { count, input }: StoredRequest): LaunchResult {
  if (ids.length >= count) return { cloudIds: ids }
  const message = `EC2 gave ${ids.length} of ${count} ${input.InstanceType ?? 'machines'}`
  return { cloudIds: ids, shortfall: { code: 'insufficient-capacity', message } }
}
