import { resolve } from 'node:path'

import type { Environment } from '../../config/environment.ts'
import type { Config } from '../../config/load.ts'
import type { ProviderOptions } from '../../config/providers.ts'
import { loadHostHandler } from '../../host-handlers/index.ts'
import type { Clock } from '../lib/clock.ts'
import { systemClock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import { noFaults } from '../lib/fault-points.ts'
import { MusterError } from '../model/errors.ts'
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
      options: config.providers[provider] ?? {},
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

/**
 * What is wrong with the options that the settings give to providers, each provider asked; no cloud is. Those without
 * options are not loaded: an SDK costs time.
 */
export async function providerFaults(
  providers: ProviderOptions,
  environment: Environment,
): Promise<readonly string[]> {
  const faults = await Promise.all(
    Object.entries(providers).map(async ([provider, options]) => {
      const context = { ...nowhere, options, environment }
      const refusal = await loadHostHandler(provider, context).then(() => undefined, asMusterError)
      if (refusal === undefined) return []
      const sentences = refusal.details.length > 0 ? refusal.details : [refusal.message]
      return sentences.map((sentence) => `options of provider ${provider}: ${sentence}`)
    }),
  )
  return faults.flat()
}

/** Enough to create a handler, which does nothing yet. */
const nowhere = {
  fleetId: '',
  dataDirectory: resolve('.'),
  program: [],
  daemonAddresses: () => [],
  clock: systemClock,
  fault: noFaults,
}

function asMusterError(error: unknown): MusterError {
  if (error instanceof MusterError) return error
  const words = error instanceof Error ? error.message : String(error)
  return new MusterError('config-invalid', words, { cause: error })
}
