/**
 * `muster manager --dir DIR` and nothing else, for tests that need a manager in a process of its own. MUSTER_FAULTS names
 * points at which it kills itself, TEST_AHEAD_MS how far its clock is ahead.
 */
import { systemClock } from '../../src/lib/clock.ts'
import { killAt } from '../../src/lib/fault-points.ts'
import { createLogger } from '../../src/lib/logger.ts'
import { runManager } from '../../src/manager/manager.ts'

const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
const [, , command, flag, directory = ''] = process.argv
if (command !== 'manager' || flag !== '--dir') throw new Error('usage: manager --dir DIR')
const { MUSTER_FAULTS: faults = '', TEST_AHEAD_MS: aheadMs = '0' } = process.env
process.exitCode = await runManager(
  {
    ...{ directory, environment: process.env, log: createLogger({ level: 'info', pretty: false }) },
    clock: { ...systemClock, now: () => Date.now() + Number(aheadMs) },
    fault: killAt(faults.split(',').filter((name) => name !== '')),
  },
  stopping.signal,
)
