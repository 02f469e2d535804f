/**
 * Looks for a local host again and again with one file left to open, for a limit on open files, set outside: each look
 * must find the host or say that it could not look.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'

import { findHostProcesses } from '../../host-handlers/local/host-processes.ts'

const cloudId = `local-few-files-${process.pid}`
const host = spawn('sleep', ['60'], { env: { ...process.env, MUSTER_LOCAL_HOST: cloudId }, stdio: 'ignore' })
await once(host, 'spawn')

const held: number[] = []
try {
  for (;;) held.push(openSync('/dev/null', 'r'))
} catch {
  closeSync(held.pop()!)
}
let overlooked = 0
for (let look = 0; look < 20; look += 1) {
  const wasSeen = await findHostProcesses().then(
    (processes) => processes.some((one) => one.cloudId === cloudId),
    (error: unknown) => (error as NodeJS.ErrnoException).code === 'EMFILE',
  )
  if (!wasSeen) overlooked += 1
}
host.kill('SIGKILL')
process.stdout.write(`overlooked ${overlooked} times`)
