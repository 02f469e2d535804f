import { createHash } from 'node:crypto'

import { enrolmentTokenIsValid } from '../lib/enrolment-token.ts'
import { MusterError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import type { Hello, Refused } from '../muster-v1/messages.ts'
import type { ManagerLinkOptions } from './seams.ts'

/** More agents than any host has; what a manager says is kept in memory. */
export const mostAgents = 2000

type Admission = { readonly host: Host } | { readonly refused: Refused }

/**
 * Who dials: a key that is known, or the token of a launch with a row to spare, which the key is then bound to. A host
 * that has ended has neither. `unauthorized` is for ever, so only a certain no is one: whatever the database failed to
 * answer is `unavailable`.
 */
export async function admit(
  options: Pick<ManagerLinkOptions, 'store' | 'fence' | 'fleetKey' | 'logger'>,
  hello: Hello,
): Promise<Admission> {
  const refuse = (refused: Refused) => ({ refused })
  const fence = options.fence()
  if (fence === undefined) return refuse(unavailable('this daemon stands by'))
  const fault = faultOf(hello)
  if (fault !== undefined) return refuse(unauthorized(fault))
  const { launchId, cloudId, address } = hello
  const keyHash = createHash('sha256').update(hello.hostKey).digest('hex')
  try {
    const known = await options.store.readHostByKeyHash(keyHash)
    if (known !== undefined) return { host: known }
    if (!mayEnrol(hello, options.fleetKey)) {
      return refuse(unauthorized('neither a known key nor a valid enrolment token'))
    }
    const enrolled = await options.store.enrollHost({ launchId, cloudId, keyHash, address }, fence)
    if (enrolled === undefined) return refuse(unauthorized(`launch ${launchId} has no host for ${cloudId}`))
    const { id: hostId, regionId: region } = enrolled
    options.logger.info({ hostId, region, launchId, cloudId }, 'host enrolled')
    return { host: enrolled }
  } catch (error) {
    options.logger.warn({ launchId, cloudId, err: error }, 'host not admitted')
    return refuse(unavailable(reasonOf(error)))
  }
}

export function unauthorized(message: string): Refused {
  return { code: 'unauthorized', message }
}

export function unavailable(message: string): Refused {
  return { code: 'unavailable', message }
}

/** For a manager's eyes: what the database said is for the daemon's own log. */
export function reasonOf(error: unknown): string {
  return error instanceof MusterError ? error.code : 'internal'
}

// An action's attempts all ask for the same hosts, so the attempt in their token is 1.
function mayEnrol({ launchId, enrolmentToken, cloudId }: Hello, fleetKey: string): boolean {
  return launchId !== '' && cloudId !== '' && enrolmentTokenIsValid(enrolmentToken, fleetKey, launchId, 1)
}

function faultOf(hello: Hello): string | undefined {
  if (!/^[0-9a-f]{64}$/.test(hello.hostKey)) return 'the host key is not 64 hex characters'
  if (hello.address === '' || hello.address.length > 255) return 'the address is missing or too long'
  if (hello.launchId.length > 300 || hello.cloudId.length > 300) return 'the launch or machine id is too long'
  if (hello.capacity > mostAgents || hello.agents.length > mostAgents) return `more than ${mostAgents} agents`
  return undefined
}
