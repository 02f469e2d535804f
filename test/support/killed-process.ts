import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface KilledProcess {
  /** What it has said, line by line. */
  lines(): readonly string[]
  /** As a machine that runs out of memory would: it is told nothing. */
  kill(): Promise<void>
}

/** A Node process that is there to be killed. */
export function startToKill(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): KilledProcess {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more))
  return {
    // The last line may still be under way.
    lines: () => text.split('\n').slice(0, -1),
    kill: async () => {
      if (child.exitCode !== null) throw new Error('it ended before it was killed')
      const closed = once(child, 'close')
      child.kill('SIGKILL')
      await closed
    },
  }
}
