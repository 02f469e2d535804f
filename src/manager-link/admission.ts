import { MusterError } from '../model/errors.ts'
import type { Backend } from '../model/backend.ts'
import type { Host } from '../model/host.ts'
import type { Hello, Refused } from '../muster-v1/messages.ts'
import type { ManagerConnection } from './manager-door.ts'
import type { ManagerLinkOptions } from './seams.ts'

/** More agents than any host has; what a manager says is kept in memory. */
export const mostAgents = 2000

type Admission =
  { readonly backend: Backend; readonly host: Host | undefined } | { readonly refused: Refused }

/**
 * The second look at who dials: the allow-list in memory let the connection in, the database says whose certificate it
 * is at this moment. `unauthorized` is for ever, so only a certain no is one: a certificate that is merely old may have
 * a successor that its manager holds.
 */
export async function admit(
  options: Pick<ManagerLinkOptions, 'trust' | 'fence' | 'allowList' | 'rightsChanged' | 'logger'>,
  hello: Hello,
  connection: Pick<ManagerConnection, 'serial' | 'backendId'>,
): Promise<Admission> {
  const { trust, allowList, logger } = options
  const refuse = (refused: Refused) => ({ refused })
  const fence = options.fence()
  if (fence === undefined) return refuse(unavailable('this daemon stands by'))
  const fault = faultOf(hello)
  if (fault !== undefined) return refuse(unauthorized(fault))
  const { serial, backendId } = connection
  const { address, capacity } = hello
  try {
    const admitted = await trust.connectBackend(serial, { address, capacity }, fence)
    if (admitted !== undefined) return admitted
    // The list was behind: what it is told now takes the connection with it, if the certificate has no right.
    await options.rightsChanged({ serials: [serial], backendIds: [backendId] })
    return refuse(
      allowList.of(backendId).length > 0
        ? unavailable('this certificate is no longer in use; dial with the one that followed it')
        : unauthorized('the certificate has no right any more'),
    )
  } catch (error) {
    logger.warn({ backendId, serial, err: error }, 'manager not admitted')
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

function faultOf(hello: Hello): string | undefined {
  if (hello.address === '' || hello.address.length > 255) return 'the address is missing or too long'
  if (hello.capacity > mostAgents || hello.agents.length > mostAgents) return `more than ${mostAgents} agents`
  return undefined
}
