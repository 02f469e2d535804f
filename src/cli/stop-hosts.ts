import { loadConfig, readEnvironment } from '../../config/load.ts'
import { stopAllHosts } from '../../host-handlers/local/handler.ts'
import { systemClock } from '../lib/clock.ts'

/** End the local hosts of this data directory. A daemon that still runs will replace them. */
export async function stopHosts(): Promise<void> {
  const { dataDir } = loadConfig(readEnvironment(), { generate: false })
  const stopped = await stopAllHosts({
    below: dataDir,
    clock: systemClock,
    signal: AbortSignal.timeout(30_000),
  })
  process.stdout.write(
    stopped.length === 0 ? 'no local hosts were running\n' : `ended ${stopped.join(', ')}\n`,
  )
}
