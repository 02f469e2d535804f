import type { Environment } from '../../config/environment.ts'
import { readEnvironment } from '../../config/load.ts'
import { createLogger } from '../lib/logger.ts'
import { runManager } from '../manager/manager.ts'

/** Run a host's manager until the daemon lets the host go, or a signal; gives the exit code. */
export async function manager(directory: string): Promise<number> {
  return runWithSignals(directory, readEnvironment())
}

/** The same, with what its agents may inherit. */
export async function runWithSignals(directory: string, environment: Environment): Promise<number> {
  const stopping = new AbortController()
  process.on('SIGTERM', () => stopping.abort())
  process.on('SIGINT', () => stopping.abort())
  const log = createLogger({ level: environment['LOG_LEVEL'] ?? 'info', pretty: false })
  return runManager({ directory, environment, log }, stopping.signal)
}
