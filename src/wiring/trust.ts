import type { Config } from '../../config/load.ts'
import { isAborted } from '../lib/aborted.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { Rights } from '../manager-link/rights.ts'
import { MusterError } from '../model/errors.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { AllowList } from '../trust/allow-list.ts'
import type { Authority } from '../trust/authority.ts'
import { authorityFrom } from '../trust/authority-source.ts'
import { launchToken, parseToken } from '../trust/enrolment-token.ts'

export interface Trust {
  readonly allowList: AllowList
  readonly rights: Rights
  /** As it was last read. @throws MusterError `unavailable` before `open` has resolved */
  readonly authority: () => Authority
  /** The same, as one object for whoever outlives a roll-over. */
  readonly latest: Pick<Authority, 'issueForHost' | 'crl' | 'trusted' | 'pins'>
  /** The token of one attempt of a launch: the same bytes whichever daemon makes them. */
  readonly launchToken: (launchId: string, attempt: number) => TokenToStore
  /** @throws MusterError `authority-unusable` */
  open(): Promise<void>
  /** From now on the authority is read again from time to time: a roll-over needs no restart. */
  follow(signal: AbortSignal): Promise<void>
}

interface TokenToStore {
  readonly text: string
  readonly id: string
  readonly secretHash: string
}

const readEveryMs = 60_000

export function createTrust(options: {
  readonly config: Config
  readonly store: TrustStore
  readonly clock: Clock
  readonly logger: Logger
}): Trust {
  const { config, store, clock, logger } = options
  const allowList = new AllowList(clock)
  const lifetimeS = config.settings.MUSTER_CERTIFICATE_LIFETIME_S
  let authority: Authority | undefined
  const read = async (): Promise<void> => {
    authority = await authorityFrom(config.authority, { now: clock.now(), lifetimeS }, authority)
  }
  const current = (): Authority => {
    if (authority === undefined) throw new MusterError('unavailable', 'the daemon is just starting')
    return authority
  }
  return {
    allowList,
    rights: new Rights({ trust: store, allowList }),
    authority: current,
    latest: {
      issueForHost: (request) => current().issueForHost(request),
      crl: (revoked, now) => current().crl(revoked, now),
      get trusted() {
        return current().trusted
      },
      get pins() {
        return current().pins
      },
    },
    launchToken: (launchId, attempt) => toStore(launchToken(config.fleetKey, launchId, attempt)),
    open: read,
    follow: async (signal) => {
      while (!signal.aborted) {
        await clock.sleep(readEveryMs, signal).catch(() => undefined)
        if (isAborted(signal)) return
        await read().catch((error: unknown) =>
          logger.error(
            { err: error },
            'the certificate authority could not be read again; it stays as it was',
          ),
        )
      }
    },
  }
}

function toStore(text: string): TokenToStore {
  const parsed = parseToken(text)
  if (parsed === undefined) throw new TypeError('a token of our own making cannot be read')
  return { text, ...parsed }
}
