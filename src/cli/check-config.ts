import { loadConfig, readEnvironment, secretSettings } from '../../config/load.ts'
import { settingNames, settings } from '../../config/schema.ts'
import { readSeed } from '../../config/seed.ts'
import { table } from './table.ts'

/** Print every setting as it would be used, or fail with all faults. */
export function checkConfig(): void {
  const config = loadConfig(readEnvironment(), { generate: false })
  if (config.seedFile !== undefined) readSeed(config.seedFile)
  const rows = settingNames.map((name) => {
    const value = config.settings[name]
    const shown = value === undefined ? '' : secretSettings.has(name) ? '(set)' : JSON.stringify(value)
    return [name, shown, settings[name].doc]
  })
  process.stdout.write(table(['SETTING', 'VALUE', 'MEANING'], rows))
  process.stdout.write(`\ndatabase: ${config.database.kind}\n`)
  for (const warning of config.warnings) process.stdout.write(`warning: ${warning}\n`)
  process.stdout.write('the configuration is valid\n')
}
