import { resolve } from 'node:path'

import type { Config } from '../../config/load.ts'
import { loadConfig, readEnvironment } from '../../config/load.ts'
import { useServersTools } from '../embedded/backup/archive.ts'
import { backUp, restore as restoreFile } from '../embedded/backup/commands.ts'
import { systemClock } from '../lib/clock.ts'
import { createLogger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'

const progressEveryMs = 1_000

/** Write the embedded database into one file. */
export async function backup(
  file: string,
  options: { force?: boolean; data?: string; endpoint?: string },
): Promise<void> {
  const config = configFor(options.data)
  const common = commonOptions(config, file, options.data)
  const counter = progressOf('written')
  await backUp({
    ...common,
    mayReplace: options.force === true,
    endpoint: options.endpoint ?? `http://127.0.0.1:${config.settings.MUSTER_GRAPHQL_PORT}`,
    adminSecret: config.adminSecret,
    progress: counter.progress,
  })
  process.stdout.write(`${common.dataDir} is backed up to ${file} (${counter.total()})\n`)
  if (options.data === undefined && config.secretsDir !== undefined) {
    process.stdout.write(`The secrets in ${config.secretsDir} are not in it: keep a copy of them too.\n`)
  }
}

/** Make the embedded database from such a file. */
export async function restore(file: string, options: { data?: string }): Promise<void> {
  const config = configFor(options.data)
  const common = commonOptions(config, file, options.data)
  const counter = progressOf('read')
  await restoreFile({ ...common, progress: counter.progress })
  process.stdout.write(`${common.dataDir} is restored from ${file} (${counter.total()})\n`)
}

function commonOptions(config: Config, file: string, data: string | undefined) {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort(new MusterError('unavailable', 'interrupted')))
  }
  return {
    file,
    dataDir: data === undefined ? builtInDirectory(config) : resolve(data),
    clock: systemClock,
    logger: createLogger({ level: 'warn', pretty: config.settings.MUSTER_LOG_FORMAT === 'pretty' }),
    signal: stopping.signal,
  }
}

/** @throws MusterError `invalid-request` when the database that is meant is not a built-in one */
function configFor(data: string | undefined): Config {
  const { DATABASE_URL: url, HASURA_GRAPHQL_ENDPOINT: hasura, ...environment } = readEnvironment()
  const isServers = [url, hasura].some((value) => value !== undefined && value !== '')
  if (data === undefined && isServers) throw new MusterError('invalid-request', useServersTools)
  return loadConfig(environment, { generate: false })
}

function builtInDirectory({ database }: Config): string {
  if (database.kind !== 'pglite') throw new MusterError('invalid-request', useServersTools)
  return database.dataDir
}

/** A line each second on standard error, for a large database. */
function progressOf(what: 'written' | 'read') {
  let latest = 0
  let told = performance.now()
  const total = (): string => `${(latest / 1e6).toFixed(1)} MB`
  return {
    total,
    progress: (bytes: number): void => {
      latest = bytes
      if (performance.now() - told < progressEveryMs) return
      told = performance.now()
      process.stderr.write(`… ${total()} ${what}\n`)
    },
  }
}
