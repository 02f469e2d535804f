import { flushCompileCache } from 'node:module'
import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { imagesOfSettings } from '../../config/images.ts'
import type { Config } from '../../config/load.ts'
import { invalidConfig, loadConfig, readEnvironment, secretsOf } from '../../config/load.ts'
import type { RunningApp } from '../app.ts'
import { startApp } from '../app.ts'
import { createErrorReporter } from '../lib/error-reporter.ts'
import { createLogger } from '../lib/logger.ts'
import { providerFaults } from '../wiring/providers.ts'
import { packageVersion } from './package-version.ts'
import { printError } from './print-error.ts'

/** A start that waits for its database has this long to get to where it can be stopped, in milliseconds. */
const startGraceMs = 3_000

/**
 * Run the daemon until a signal. The first SIGINT or SIGTERM stops it cleanly, a second exits at once; local hosts and
 * their sessions go on.
 */
export async function run(): Promise<void> {
  const environment = readEnvironment()
  const config = loadConfig(environment, { generate: true })
  const faults = await providerFaults(config.providers, environment)
  if (faults.length > 0) throw invalidConfig(faults)
  const images = imagesOfSettings(config.settings)
  const logger = createLogger({
    level: config.settings.LOG_LEVEL,
    pretty: config.settings.MUSTER_LOG_FORMAT === 'pretty',
    secrets: secretsOf(config, environment),
  })
  for (const warning of config.warnings) logger.warn(warning)
  const reporter = await createErrorReporter(config.settings.SENTRY_DSN, packageVersion())

  let exitCode = 0
  let end: () => void = () => undefined
  const ended = new Promise<void>((resolve) => (end = resolve))
  const onFatal = (error: unknown): void => {
    reporter.capture(error)
    printError(error)
    exitCode = 1
    end()
  }
  let signals = 0
  const onSignal = (): void => {
    signals += 1
    if (signals > 1) process.exit(1)
    end()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.on('uncaughtException', onFatal)
  process.on('unhandledRejection', onFatal)

  const app = await Promise.race([
    startApp({ config, images, environment, logger, reporter, onFatal }),
    ended.then(() => sleep(startGraceMs)),
  ])
  // A crash at any point of the start loses nothing, so neither does this.
  if (app === undefined) process.exit(exitCode)
  process.stdout.write(greeting(config, app))
  // What main.ts keeps for the next start is written at a clean end, which a daemon that is killed does not have.
  flushCompileCache()
  await ended
  await app.stop()
  process.exit(exitCode)
}

function greeting(config: Config, app: RunningApp): string {
  const region = config.seedFile === undefined ? 'REGION' : 'local/demo'
  const secret =
    config.secretsDir === undefined
      ? 'from the environment'
      : `in ${relative(process.cwd(), config.secretsDir) || '.'}/admin-secret`
  return `
  Muster
    API       ${app.apiUrl}   (ready: ${app.apiUrl}/readyz)
    GraphQL   ${app.graphqlUrl}
    managers  127.0.0.1:${app.managerPort}
    secret    ${secret}

    try       curl -s ${app.apiUrl}/v1/assign -H "Authorization: Bearer $(npx muster token --user me)" \\
                -H 'Content-Type: application/json' -d '{"regions":["${region}"]}'
    look      npx muster hosts --watch

`
}
