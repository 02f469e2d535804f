import { readFile, readdir } from 'node:fs/promises'

import { isNoProcess, readProcessStat } from '../../src/lib/process-identity.ts'

/** Processes looked at together: each look opens a file. */
const atOnce = 32

/**
 * Local hosts as they really are: the processes of this machine whose environment says that they belong to one. It
 * depends on no directory of ours, so a lost data directory hides nothing. A process that writes over its own
 * environment is not seen by itself, but as one of its group it is ended with the others.
 */
export interface HostProcess {
  readonly pid: number
  readonly group: number
  readonly cloudId: string
  readonly fleetId: string
  readonly regionId: string
  readonly launchId: string
  readonly directory: string
  /** Milliseconds since the epoch. */
  readonly launchedAt: number
}

/** The tags of a local host: what its processes' environment says. */
export interface HostTags {
  readonly MUSTER_LOCAL_HOST: string
  readonly MUSTER_FLEET_ID: string
  readonly MUSTER_REGION_ID: string
  readonly MUSTER_LAUNCH_ID: string
  readonly MUSTER_HOST_DIRECTORY: string
  readonly MUSTER_HOST_LAUNCHED_AT: string
}

/**
 * Every living process of every local host of this user, of all fleets. What cannot be looked at (no file left to open)
 * is an error: a host that is left out would be taken for gone.
 */
export async function findHostProcesses(): Promise<readonly HostProcess[]> {
  const names = await readdir('/proc')
  const pids = names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid)
  const found: HostProcess[] = []
  for (let start = 0; start < pids.length; start += atOnce) {
    const looked = await Promise.all(pids.slice(start, start + atOnce).map(readHostProcess))
    found.push(...looked.filter((one) => one !== undefined))
  }
  return found
}

async function readHostProcess(pid: number): Promise<HostProcess | undefined> {
  // Of other users' processes we may read nothing, and of zombies there is nothing to read: where nobody reaps
  // orphans (pid 1 of many containers) they stay for ever, and must not keep a host alive.
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch((error: unknown) => {
    if (isNoProcess(error) || isNotOurs(error)) return ''
    throw error
  })
  if (!environment.includes('MUSTER_LOCAL_HOST=')) return undefined
  const tags: Partial<Record<string, string>> = {}
  for (const entry of environment.split('\0')) {
    const at = entry.indexOf('=')
    if (at > 0) tags[entry.slice(0, at)] = entry.slice(at + 1)
  }
  const cloudId = tags['MUSTER_LOCAL_HOST'] ?? ''
  const stat = await readProcessStat(pid)
  if (cloudId === '' || stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined
  return {
    pid,
    group: stat.group,
    cloudId,
    fleetId: tags['MUSTER_FLEET_ID'] ?? '',
    regionId: tags['MUSTER_REGION_ID'] ?? '',
    launchId: tags['MUSTER_LAUNCH_ID'] ?? '',
    directory: tags['MUSTER_HOST_DIRECTORY'] ?? '',
    launchedAt: Number(tags['MUSTER_HOST_LAUNCHED_AT'] ?? 0),
  }
}

/**
 * Signals the whole groups of processes that were just found, so that what they start meanwhile is met too. What has
 * ended already is no error.
 */
export async function signalHost(processes: readonly HostProcess[], signal: NodeJS.Signals): Promise<void> {
  // A daemon that somebody started from within a host must not end itself.
  const ownGroup = (await readProcessStat(process.pid))?.group
  const targets = processes.map(({ pid, group }) => (group > 1 && group !== ownGroup ? -group : pid))
  for (const target of new Set(targets)) {
    try {
      process.kill(target, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

function isNotOurs(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EACCES' || code === 'EPERM'
}
