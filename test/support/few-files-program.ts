/** Looks for local hosts with one file left to open, and says what came of it: for a limit on open files, set outside. */
import { closeSync, openSync } from 'node:fs'

import { findHostProcesses } from '../../host-handlers/local/host-processes.ts'

const held: number[] = []
try {
  for (;;) held.push(openSync('/dev/null', 'r'))
} catch {
  closeSync(held.pop()!)
}
const found = await findHostProcesses().then(
  (processes) => `found ${processes.length}`,
  (error: unknown) => `refused ${(error as NodeJS.ErrnoException).code ?? 'without a code'}`,
)
process.stdout.write(found)
