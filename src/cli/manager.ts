import { readEnvironment } from '../../config/load.ts'
import { createLogger } from '../lib/logger.ts'
import { runManager } from '../manager/manager.ts'

/** Run a host's manager until the daemon lets the host go, or a signal; gives the exit code. */
export async function manager(directory: string): Promise<number> {
  const stopping = new AbortController()
  process.on('SIGTERM', () => stopping.abort())
  process.on('SIGINT', () => stopping.abort())
  const environment = readEnvironment()
  const log = createLogger({ level: environment['LOG_LEVEL'] ?? 'info', pretty: false })
  return runManager({ directory, environment, log }, stopping.signal)
}
