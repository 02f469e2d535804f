import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * The real openssl, as the other party that must agree. Arguments that start with `@` stand for a file with the text (or
 * bytes) of that name in `files`. Gives what it printed, both streams; throws when it fails.
 */
export function openssl(
  args: readonly string[],
  files: Readonly<Record<string, string | Buffer>> = {},
): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-openssl-'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content)
  const paths = args.map((arg) => (arg.startsWith('@') ? join(directory, arg.slice(1)) : arg))
  const { status, stdout, stderr, error } = spawnSync('openssl', paths, {
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
  })
  rmSync(directory, { recursive: true })
  if (error !== undefined) throw error
  if (status === 0) return stdout + stderr
  throw new Error(`openssl ${args.join(' ')}: ${(stdout + stderr).slice(0, 2_000)}`)
}
