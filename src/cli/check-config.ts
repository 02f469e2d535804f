import type { Config, Environment } from '../../config/load.ts'
import {
  invalidConfig,
  loadConfig,
  readEnvironment,
  readProviderOptions,
  secretSettings,
} from '../../config/load.ts'
import { settingNames, settings } from '../../config/schema.ts'
import { readSeed } from '../../config/seed.ts'
import { MusterError } from '../model/errors.ts'
import { authorityFrom } from '../trust/authority-source.ts'
import { ownAuthorityPath } from '../trust/ca-files.ts'
import { providerFaults } from '../wiring/providers.ts'
import { table } from './table.ts'

/** Print every setting as it would be used, or fail with all faults. */
export async function checkConfig(): Promise<void> {
  const config = await checkedConfig(readEnvironment())
  if (config.seedFile !== undefined) readSeed(config.seedFile)
  const rows = settingNames.map((name) => {
    const value = config.settings[name]
    const shown = value === undefined ? '' : secretSettings.has(name) ? '(set)' : short(JSON.stringify(value))
    return [name, shown, settings[name].doc]
  })
  process.stdout.write(table(['SETTING', 'VALUE', 'MEANING'], rows))
  process.stdout.write(`\ndatabase: ${config.database.kind}\n`)
  for (const warning of config.warnings) process.stdout.write(`warning: ${warning}\n`)
  await checkAuthority(config)
  process.stdout.write('the configuration is valid\n')
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
}: Config): Promise<void> {
  const isMade = authority.kind === 'own' && (await ownAuthorityPath(authority.directory)) === undefined
  if (isMade) return
  const { issuer } = await authorityFrom(authority, {
    now: Date.now(),
    lifetimeS: MUSTER_CERTIFICATE_LIFETIME_S,
  })
  process.stdout.write(`certificates: ${issuer.name}, until ${new Date(issuer.notAfter).toISOString()}\n`)
}

/** A certificate would make every line as long as itself. */
function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
