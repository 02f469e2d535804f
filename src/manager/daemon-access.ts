/** How a manager gets to a daemon and stays there: identity before each stream, renewal on it. */
import type { Refused, Renewed } from '../muster-v1/messages.ts'
import { CredentialsStore } from './credentials-store.ts'
import type { HostIdentityOptions } from './host-identity.ts'
import { HostIdentity } from './host-identity.ts'
import type { RenewalOptions } from './renewal.ts'
import { Renewal } from './renewal.ts'
import type { DaemonDoor } from './transport.ts'
import { dialDaemon } from './transport.ts'

export interface DaemonAccess {
  dial(address: string, signal: AbortSignal): Promise<DaemonDoor | Refused>
  welcomed(): void
  closed(): void
  heard(renewed: Renewed): void
}

export type DaemonAccessOptions = Omit<HostIdentityOptions & RenewalOptions, 'store'>

export function createDaemonAccess(options: DaemonAccessOptions): DaemonAccess {
  const { directory, spec, log } = options
  const store = new CredentialsStore(directory, options.fault)
  const identity = new HostIdentity({ ...options, store })
  const renewal = new Renewal({ ...options, store })
  return {
    dial: async (address, signal) => {
      const who = await identity.identify(address, signal)
      if (who.kind !== 'identified') {
        return { code: who.kind === 'unauthorized' ? 'unauthorized' : 'unavailable', message: who.message }
      }
      renewal.dialled(who.credentials)
      return dialDaemon(address, { fleetId: spec.fleetId, credentials: who.credentials, directory })
    },
    welcomed: () => renewal.welcomed(),
    closed: () => renewal.lost(),
    heard: (renewed) => {
      renewal.heard(renewed).catch((error: unknown) => log.error({ err: error }, 'new certificate not kept'))
    },
  }
}
