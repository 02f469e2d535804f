import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode } from '../../src/model/host-handler.ts'
import { CloudRefusal } from './client.ts'

/**
 * Your cloud's codes in the words of launches. The one question that matters: was it surely not carried out? Then it is
 * one of these. Whatever is in doubt (a time-out, a reset, a 5xx) is `unknown`, and is repeated with the same token until
 * it is answered: calling it a refusal is how machines are launched twice.
 */
const codes: Readonly<Record<string, LaunchErrorCode>> = {
  QuotaReached: 'quota-exceeded',
  NoCapacity: 'insufficient-capacity',
  TooManyRequests: 'throttled',
  Forbidden: 'unauthorized',
  BadRequest: 'invalid-request',
}

/** Codes that nobody has classified: they may pass by themselves, and must not be asked for ever. */
const unlistedAttempts = 3

export function launchErrorOf(cause: unknown): LaunchError {
  if (cause instanceof LaunchError) return cause
  if (!(cause instanceof CloudRefusal)) {
    return new LaunchError('unknown', `the cloud gave no whole answer: ${String(cause)}`, { cause })
  }
  const { code: providerCode, message } = cause
  const code = codes[providerCode]
  if (code !== undefined) return new LaunchError(code, message, { cause, providerCode })
  return new LaunchError('transient', message, { cause, providerCode, attemptsAtMost: unlistedAttempts })
}
