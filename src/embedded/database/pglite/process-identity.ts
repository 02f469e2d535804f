/**
 * Who a process is, beyond its number: numbers are used again. On Linux the machine's boot, the namespace in which the
 * number counts and the moment the process started make it certain; elsewhere the number alone has to do.
 */
import { readlink } from 'node:fs/promises'
import { hostname } from 'node:os'

import { z } from 'zod'

import { readBootId, readProcessStat } from '../../../lib/process-identity.ts'

const identitySchema = z.object({
  pid: z.int().positive(),
  /** This boot of this machine; its name where the system does not tell. */
  boot: z.string(),
  pidNamespace: z.string(),
  /** Clock ticks since boot; empty where the system does not tell. */
  startedAt: z.string(),
})
export type ProcessIdentity = z.output<typeof identitySchema>

export async function ownIdentity(): Promise<ProcessIdentity> {
  return {
    pid: process.pid,
    boot: await bootId(),
    pidNamespace: await pidNamespace(),
    startedAt: await startTimeOf(process.pid),
  }
}

export function parseIdentity(text: string): ProcessIdentity | undefined {
  try {
    return identitySchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** `unknown` for a process of another boot or namespace: it cannot be seen from here. */
export async function isAlive(identity: ProcessIdentity): Promise<'alive' | 'dead' | 'unknown'> {
  if (identity.boot !== (await bootId()) || identity.pidNamespace !== (await pidNamespace())) return 'unknown'
  if (!exists(identity.pid)) return 'dead'
  return (await startTimeOf(identity.pid)) === identity.startedAt ? 'alive' : 'dead'
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process: it is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

const bootId = async (): Promise<string> => (await readBootId()) ?? hostname()

const pidNamespace = (): Promise<string> => readlink('/proc/self/ns/pid').catch(() => '')

/** A zombie has ended: it holds no file. */
async function startTimeOf(pid: number): Promise<string> {
  const stat = await readProcessStat(pid).catch(() => undefined)
  return stat === undefined || stat.state === 'Z' ? '' : `${stat.startTime}`
}
