import { readFile } from 'node:fs/promises'

/**
 * A process that cannot be mistaken for a later one with the same number: process ids are reused, start times of one
 * boot are not.
 */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot; null where the system has no /proc. */
  readonly startTime: number | null
  readonly bootId: string | null
}

/** What /proc/PID/stat says; fields are numbered in proc_pid_stat(5). */
export interface ProcessStat {
  /** `Z` is a zombie: it has ended and waits for its parent to notice. */
  readonly state: string
  readonly group: number
  readonly startTime: number
}

/** undefined when there is no such process (any more). Throws when that cannot be told. */
export async function readProcessStat(pid: number): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch((error: unknown) => {
    if (isNoProcess(error)) return undefined
    throw error
  })
  if (text === undefined) return undefined
  // The second field is the program's name in brackets and may itself hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', group: Number(fields[2]), startTime: Number(fields[19]) }
}

/** What reading a process's files fails with when it has ended, before or while they are read. */
export function isNoProcess(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ESRCH'
}

export async function ownProcessIdentity(): Promise<ProcessIdentity> {
  const stat = await readProcessStat(process.pid)
  return { pid: process.pid, startTime: stat?.startTime ?? null, bootId: await readBootId() }
}

/** This boot of this machine; null where the system does not tell. */
export async function readBootId(): Promise<string | null> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null)
  return text?.trim() ?? null
}
