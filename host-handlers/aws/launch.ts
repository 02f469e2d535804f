/**
 * One launch: the stored request (RunInstances, or CreateFleet with its template), sent under its token until it is answered. A token that EC2 keeps makes the second
 * send harmless; a server that does not keep tokens is asked first whether the machines are there, after a wait in which
 * they must have come to light.
 */
import { RunInstancesCommand } from '@aws-sdk/client-ec2'

import type { Clock } from '../../src/lib/clock.ts'
import type { FaultPoint } from '../../src/lib/fault-points.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode, LaunchResult, LaunchSpec } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import { createFleet, templateNameOf } from './fleet.ts'
import type { LaunchTemplates } from './launch-templates.ts'
import type { Machines } from './machines.ts'
import { parseStoredRequest } from './request.ts'
import type { StoredRequest, StoredRun } from './request.ts'
import { userDataOf } from './user-data.ts'

export interface LaunchMeans {
  readonly ec2: Ec2
  readonly machines: Machines
  readonly templates: LaunchTemplates
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
  if (request.call === 'RunInstances') return attempt(means, request, spec, signal)
  let isOver = false
  try {
    const result = await attempt(means, request, spec, signal)
    isOver = true
    return result
  } catch (error) {
    isOver = error instanceof LaunchError && !mayGoOn.has(error.code)
    throw error
  } finally {
    // What cannot be removed now is removed as a left-over: the launch has its answer.
    if (isOver) await means.templates.remove(templateNameOf(spec.token), signal).catch(() => undefined)
  }
}

/** The same request is sent again. */
const mayGoOn: ReadonlySet<LaunchErrorCode> = new Set(['unknown', 'transient', 'throttled'])

async function attempt(
  means: LaunchMeans,
  request: StoredRequest,
  spec: LaunchSpec,
  signal: AbortSignal,
): Promise<LaunchResult> {
  const isRepeat = spec.isRepeat !== false || means.unanswered.has(spec.token)
  const found = await lookBefore(means, spec, signal)
  if (found.length >= request.count || (found.length > 0 && !means.areTokensKept)) {
    return resultOf(found, request)
  }
  const userData = userDataOf(request.bootstrap, spec.enrolmentToken)
  if (userData.sha256 !== request.userDataSha256) return unrepeatable(found, request)
  means.fault('aws.before-run')
  const wish = { token: spec.token, userData: userData.base64, isRepeat }
  let made: Made
  try {
    made =
      request.call === 'RunInstances'
        ? await runInstances(means, request, wish, signal)
        : await createFleet(means, request, wish, signal)
  } catch (error) {
    if (!(error instanceof LaunchError) || error.code === 'unknown') {
      means.unanswered.add(spec.token)
      throw error
    }
    if (error.providerCode !== 'IdempotentParameterMismatch') throw error
    return acceptedBefore(means, spec, request, error, signal)
  }
  means.fault('aws.after-run')
  return resultOf(made.ids, request, made.why)
}

interface Made {
  /** Sorted; at least one. */
  readonly ids: readonly string[]
  /** Why there are not more, when EC2 says so. */
  readonly why: string | undefined
}

async function runInstances(
  { ec2 }: LaunchMeans,
  { input }: StoredRun,
  { token, userData }: { readonly token: string; readonly userData: string },
  signal: AbortSignal,
): Promise<Made> {
  const command = new RunInstancesCommand({ ...input, ClientToken: token, UserData: userData })
  const output = await ec2.send('run', command, signal)
  const ids = (output.Instances ?? []).flatMap((instance) => instance.InstanceId ?? [])
  if (ids.length === 0) throw new LaunchError('unknown', 'EC2 accepted the launch and named no machines')
  return { ids: ids.toSorted(), why: undefined }
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

function resultOf(ids: readonly string[], request: StoredRequest, why?: string): LaunchResult {
  const { count } = request
  if (ids.length >= count) return { cloudIds: ids }
  const what = request.call === 'RunInstances' ? request.input.InstanceType : undefined
  const message = `EC2 gave ${ids.length} of ${count} ${what ?? 'machines'}${why === undefined ? '' : `: ${why}`}`
  return { cloudIds: ids, shortfall: { code: 'insufficient-capacity', message } }
}
