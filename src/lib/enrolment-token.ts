import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/**
 * The secret that lets the managers of one launch enrol: HMAC-SHA256 of the launch under the fleet's key, in hex. It is
 * derived, never stored, so a repeated launch call carries the same one.
 */
export function enrolmentToken(fleetKey: string, launchId: string, attempt: number): string {
  return createHmac('sha256', fleetKey).update(`${launchId}:${attempt}`).digest('hex')
}

/** Compared in constant time. */
export function enrolmentTokenIsValid(
  token: string,
  fleetKey: string,
  launchId: string,
  attempt: number,
): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(token), hash(enrolmentToken(fleetKey, launchId, attempt)))
}
