/** `muster manager --dir DIR` and nothing else, for tests that need a manager in a process of its own. */
import { createLogger } from '../../src/lib/logger.ts'
import { runManager } from '../../src/manager/manager.ts'

const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
const [, , command, flag, directory = ''] = process.argv
if (command !== 'manager' || flag !== '--dir') throw new Error('usage: manager --dir DIR')
process.exitCode = await runManager(
  { directory, environment: process.env, log: createLogger({ level: 'info', pretty: false }) },
  stopping.signal,
)
