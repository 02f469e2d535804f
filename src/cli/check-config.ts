import type { Environment } from '../../config/environment.ts'
import { imagesOfSettings } from '../../config/images.ts'
import type { Config } from '../../config/load.ts'
import {
  invalidConfig,
  loadConfig,
  readEnvironment,
  readProviderOptions,
  secretSettings,
  secretsOf,
} from '../../config/load.ts'
import { settingNames, settings } from '../../config/schema.ts'
import { readSeed } from '../../config/seed.ts'
import { createLogger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import { authorityFrom } from '../trust/authority-source.ts'
import { ownAuthorityPath } from '../trust/ca-files.ts'
import { providerFaults } from '../wiring/providers.ts'
import type { CheckedRegion } from './live-check.ts'
import { table } from './table.ts'

export interface CheckConfigOptions {
  /** Ask the providers of the regions too. */
  readonly live?: boolean
  /** Of the live check, only these. */
  readonly region?: readonly string[]
  readonly json?: boolean
}

/** Print every setting as it would be used, or fail with all faults; 1 when a region that was asked about cannot launch. */
export async function checkConfig(options: CheckConfigOptions): Promise<number> {
  const { live = options.region !== undefined, region = [], json = false } = options
  const environment = readEnvironment()
  const config = await checkedConfig(environment)
  if (config.seedFile !== undefined) readSeed(config.seedFile)
  imagesOfSettings(config.settings)
  const certificates = await checkAuthority(config)
  if (!json) process.stdout.write(settingsText(config, certificates))
  let regions: readonly CheckedRegion[] = []
  if (live) {
    const { checkedText, checkRegions } = await import('./live-check.ts')
    const secrets = secretsOf(config, environment)
    const logger = createLogger({ level: 'warn', pretty: false, secrets })
    regions = await checkRegions(config, environment, region, logger)
    if (!json) process.stdout.write(checkedText(regions))
  }
  const isFaulty = regions.some(({ faults }) => faults.length > 0)
  if (json) {
    const report = {
      valid: !isFaulty,
      settings: Object.fromEntries(settingNames.map((name) => [name, shownSetting(config, name)])),
      database: config.database.kind,
      warnings: config.warnings,
      certificates: certificates ?? null,
      ...(live ? { regions } : {}),
    }
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  }
  return isFaulty ? 1 : 0
}

function settingsText(config: Config, certificates: string | undefined): string {
  const rows = settingNames.map((name) => {
    const value = shownSetting(config, name)
    return [
      name,
      value === null ? '' : value === isSet ? isSet : short(JSON.stringify(value)),
      settings[name].doc,
    ]
  })
  return [
    table(['SETTING', 'VALUE', 'MEANING'], rows),
    `database: ${config.database.kind}`,
    ...config.warnings.map((warning) => `warning: ${warning}`),
    ...(certificates === undefined ? [] : [`certificates: ${certificates}`]),
    'the configuration is valid\n',
  ].join('\n')
}

const isSet = '(set)'

/** Null when it is not set. */
function shownSetting({ settings: given }: Config, name: (typeof settingNames)[number]): unknown {
  const value = given[name]
  if (value === undefined) return null
  return secretSettings.has(name) ? isSet : value
}

/** @throws MusterError `config-invalid` with every fault, those of the providers' options too */
async function checkedConfig(environment: Environment): Promise<Config> {
  const faults = await providerFaults(readProviderOptions(environment), environment)
  if (faults.length === 0) return loadConfig(environment, { generate: false })
  try {
    loadConfig(environment, { generate: false })
  } catch (error) {
    if (!(error instanceof MusterError) || error.code !== 'config-invalid') throw error
    throw invalidConfig([...error.details, ...faults])
  }
  throw invalidConfig(faults)
}

/** Certificates that are brought are opened; our own are made by the first start. */
async function checkAuthority({
  authority,
  settings: { MUSTER_CERTIFICATE_LIFETIME_S },
}: Config): Promise<string | undefined> {
  const isMade = authority.kind === 'own' && (await ownAuthorityPath(authority.directory)) === undefined
  if (isMade) return undefined
  const { issuer } = await authorityFrom(authority, {
    now: Date.now(),
    lifetimeS: MUSTER_CERTIFICATE_LIFETIME_S,
  })
  return `${issuer.name}, until ${new Date(issuer.notAfter).toISOString()}`
}

/** A certificate would make every line as long as itself. */
function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
