import { resolve } from 'node:path'

import type { Config, Environment } from '../../config/load.ts'
import { loadHostHandler } from '../../host-handlers/index.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { HostHandler } from '../model/host-handler.ts'

export interface ProvidersOptions {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly fault: FaultPoint
  readonly fleetId: () => string
  /** Of a region; undefined when it is not known. */
  readonly providerOf: (regionId: string) => string | undefined
  /** Where managers dial, as of now. */
  readonly daemonAddresses: () => readonly string[]
}

/** The handlers of the regions' providers, each loaded when it is first needed. */
export function createProviders(options: ProvidersOptions): (regionId: string) => Promise<HostHandler> {
  const { config, environment, clock, fault, daemonAddresses } = options
  const handlers = new Map<string, Promise<HostHandler>>()
  return async (regionId) => {
    const provider = options.providerOf(regionId) ?? regionId.split('/', 1)[0] ?? ''
    const known = handlers.get(provider)
    if (known !== undefined) return known
    const handler = loadHostHandler(provider, {
      fleetId: options.fleetId(),
      options: providerOptions(config, provider),
      dataDirectory: config.dataDir,
      program: [process.execPath, resolve(import.meta.dirname, '../main.ts')],
      daemonAddresses,
      environment,
      clock,
      fault,
    })
    handlers.set(provider, handler)
    // A provider that failed to load is tried again: its settings may have been mended.
    handler.catch(() => handlers.delete(provider))
    return handler
  }
}

/** What the settings say of a provider; the provider checks it. */
function providerOptions({ settings }: Config, provider: string): unknown {
  if (provider !== 'local' || settings.MUSTER_AGENT_COMMAND === undefined) return {}
  return { agent_command: settings.MUSTER_AGENT_COMMAND }
}
