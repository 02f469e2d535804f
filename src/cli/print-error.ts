import { MusterError } from '../model/errors.ts'

/** An error as a person reads it: what is wrong, its code, and every fault on a line of its own. */
export function printError(error: unknown): void {
  if (!(error instanceof MusterError)) {
    process.stderr.write(
      `muster: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    return
  }
  process.stderr.write(`muster: ${error.message} [${error.code}]\n`)
  for (const detail of error.details) process.stderr.write(`  - ${detail}\n`)
}
