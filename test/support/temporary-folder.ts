/**
 * One folder for all that a run of the tests makes, named after its process: removed as a whole at its end, and by the
 * next run if it was killed. Databases are made by the hundred, and no test pulls the machine's own plug: in memory,
 * where there is room.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const memory = '/dev/shm'
const enoughBytes = 4 * 1024 ** 3
const prefix = 'muster-tests-'

/** @returns the folder, which is TMPDIR from now on for this process and all that it starts */
export function useTemporaryFolder(): string {
  const name = `${prefix}${process.pid}`
  const given = process.env['TMPDIR']
  // The configuration is read once for each project.
  if (given !== undefined && basename(given) === name) return given
  const parent = given ?? (hasRoom(memory) ? memory : tmpdir())
  for (const found of readdirSync(parent)) {
    const pid = /^muster-tests-(\d+)$/.exec(found)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) removeFolder(join(parent, found))
  }
  const folder = join(parent, name)
  removeFolder(folder)
  mkdirSync(folder, { mode: 0o700 })
  // PostgreSQL, which does not run as root, has its files below.
  if (process.getuid?.() === 0) chmodSync(folder, 0o711)
  process.env['TMPDIR'] = folder
  process.on('exit', () => removeFolder(folder))
  return folder
}

function hasRoom(folder: string): boolean {
  if (!existsSync(folder)) return false
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize > enoughBytes
}

/** Servers that are ending may still write to it. */
const removeFolder = (path: string): void => rmSync(path, { recursive: true, force: true, maxRetries: 5 })

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
