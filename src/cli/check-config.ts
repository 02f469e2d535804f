import type { Config } from '../../config/load.ts'
import { loadConfig, readEnvironment, secretSettings } from '../../config/load.ts'
import { settingNames, settings } from '../../config/schema.ts'
import { readSeed } from '../../config/seed.ts'
import { authorityFrom } from '../trust/authority-source.ts'
import { ownAuthorityPath } from '../trust/ca-files.ts'
import { table } from './table.ts'

/** Print every setting as it would be used, or fail with all faults. */
export async function checkConfig(): Promise<void> {
  const config = loadConfig(readEnvironment(), { generate: false })
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
