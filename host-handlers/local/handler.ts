import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'

import type { Clock } from '../../src/lib/clock.ts'
import { MusterError } from '../../src/model/errors.ts'
import type { CloudHost, HostHandler, LaunchResult, LaunchSpec } from '../../src/model/host-handler.ts'
import { hostFiles } from '../../src/model/manager-spec.ts'
import type { HandlerContext } from '../handler-context.ts'
import { parseOptions } from '../parse-options.ts'
import { launchErrorOf } from './errors.ts'
import {
  isClaimed,
  prepareDirectory,
  pruneDirectories,
  takeClaim,
  writeDaemonAddresses,
} from './host-directories.ts'
import { findHostProcesses, signalHost } from './host-processes.ts'
import type { HostProcess, HostTags } from './host-processes.ts'
import { alwaysInherited, localOptions } from './options.ts'
import type { LocalOptions } from './options.ts'

/**
 * Hosts that are processes of this machine: each a detached `muster manager` with its agents, in a process group and a
 * directory of its own. They outlive the daemon, as machines do.
 *
 * A host's name follows from the launch's token, and so does its directory; the manager claims the directory before it
 * does anything else. So a launch may be cut off between any two steps and repeated: at most one manager lives in each
 * directory, whoever started it.
 */
const pruneEveryMs = 60 * 60 * 1000
/** Between SIGTERM and SIGKILL, in milliseconds. */
const graceMs = 2000

/** @throws MusterError `provider-unknown` where there is no /proc, `config-invalid` when the options are wrong. */
export function createHandler(context: HandlerContext): HostHandler {
  if (process.platform !== 'linux') {
    throw new MusterError(
      'provider-unknown',
      `The provider "local" reads /proc and runs on Linux only, not on ${process.platform}`,
    )
  }
  return new LocalHandler(context, parseOptions('local', localOptions, context.options))
}

class LocalHandler implements HostHandler {
  readonly #context: HandlerContext
  readonly #options: LocalOptions
  readonly #hostsDirectory: string
  /** When each host was first asked to end, by the clock. */
  readonly #endingSince = new Map<string, number>()
  #prunedAt = 0

  constructor(context: HandlerContext, options: LocalOptions) {
    this.#context = context
    this.#options = options
    this.#hostsDirectory = resolve(context.dataDirectory, 'hosts')
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<LaunchResult> {
    const running = new Set((await findHostProcesses()).map((one) => one.cloudId))
    const cloudIds: string[] = []
    for (let index = 0; index < spec.count; index += 1) {
      signal.throwIfAborted()
      const cloudId = cloudIdOf(spec.token, index)
      try {
        await this.#startHost(cloudId, spec, running.has(cloudId))
      } catch (cause) {
        const error = launchErrorOf(cause)
        if (cloudIds.length === 0) throw error
        return { cloudIds, shortfall: { code: error.code, message: error.message } }
      }
      cloudIds.push(cloudId)
    }
    return { cloudIds }
  }

  async *list(regionId: string, signal: AbortSignal): AsyncIterable<CloudHost> {
    const { clock, fleetId, daemonAddresses } = this.#context
    const processes = await findHostProcesses()
    const addresses = daemonAddresses()
    for (const [cloudId, host] of new Map(processes.map((one) => [one.cloudId, one]))) {
      signal.throwIfAborted()
      if (host.fleetId !== fleetId || host.regionId !== regionId) continue
      // Daemons move (a take-over, another port): this is how the managers that run already hear of it.
      await writeDaemonAddresses(host.directory, addresses).catch(() => undefined)
      yield { cloudId, launchId: host.launchId, fleetId: host.fleetId, startedAt: host.launchedAt }
    }
    if (clock.now() - this.#prunedAt < pruneEveryMs) return
    this.#prunedAt = clock.now()
    await pruneDirectories(this.#hostsDirectory, new Set(processes.map((one) => one.cloudId)), clock.now())
  }

  async terminate(
    cloudIds: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>> {
    signal.throwIfAborted()
    // The claims come before the look, so that no manager slips in after it.
    for (const cloudId of cloudIds) await takeClaim(join(this.#hostsDirectory, cloudId))
    const processes = Map.groupBy(await findHostProcesses(), (one) => one.cloudId)
    const answers = new Map<string, 'accepted' | 'gone'>()
    for (const cloudId of cloudIds) {
      const ofHost = (processes.get(cloudId) ?? []).filter((one) => one.fleetId === this.#context.fleetId)
      answers.set(cloudId, ofHost.length > 0 ? 'accepted' : 'gone')
      await this.#end(cloudId, ofHost)
    }
    return answers
  }

  async #end(cloudId: string, processes: readonly HostProcess[]): Promise<void> {
    if (processes.length === 0) {
      this.#endingSince.delete(cloudId)
      return
    }
    const now = this.#context.clock.now()
    const since = this.#endingSince.get(cloudId)
    if (since === undefined) this.#endingSince.set(cloudId, now)
    else if (now - since < graceMs) return
    await signalHost(processes, since === undefined ? 'SIGTERM' : 'SIGKILL')
  }

  async #startHost(cloudId: string, spec: LaunchSpec, isRunning: boolean): Promise<void> {
    const directory = join(this.#hostsDirectory, cloudId)
    if (isRunning || (await isClaimed(directory))) return
    const { metadata_endpoint: metadata } = this.#options
    await prepareDirectory(directory, {
      fleetId: spec.fleetId,
      launchId: spec.launchId,
      cloudId,
      enrolmentToken: spec.enrolmentToken,
      caPins: spec.caPins,
      agents: spec.agentsPerHost,
      version: spec.version,
      daemons: this.#context.daemonAddresses(),
      address: this.#options.address,
      app: this.#options.app,
      agentCommand: this.#options.images[spec.image] ?? this.#options.agent_command,
      ...(metadata === undefined ? {} : { metadataEndpoint: `${metadata}/${cloudId}` }),
    })
    this.#context.fault('local.after-directory')
    await this.#spawnManager(directory, {
      MUSTER_LOCAL_HOST: cloudId,
      MUSTER_FLEET_ID: spec.fleetId,
      MUSTER_REGION_ID: spec.regionId,
      MUSTER_LAUNCH_ID: spec.launchId,
      MUSTER_HOST_DIRECTORY: directory,
      MUSTER_HOST_LAUNCHED_AT: String(this.#context.clock.now()),
    })
    this.#context.fault('local.after-spawn')
  }

  async #spawnManager(directory: string, tags: HostTags): Promise<void> {
    const { program, environment } = this.#context
    const [command = '', ...args] = program
    const inherited = [...alwaysInherited, ...this.#options.inherit].map((name) => [name, environment[name]])
    const log = await open(join(directory, hostFiles.log), 'a', 0o600)
    try {
      const child = spawn(command, [...args, 'manager', '--dir', directory], {
        detached: true,
        // Not the daemon's: an `.env` with its secrets may lie there.
        cwd: directory,
        stdio: ['ignore', log.fd, log.fd],
        env: { ...(Object.fromEntries(inherited) as Record<string, string | undefined>), ...tags },
      })
      await once(child, 'spawn')
      child.unref()
    } finally {
      await log.close()
    }
  }
}

export interface StopAllHostsOptions {
  /** Only hosts of this data directory. */
  readonly below?: string
  /** Only hosts of this fleet. */
  readonly fleetId?: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Ends every local host of this user, as far as it is meant, and waits until they are gone: `make stop-hosts`.
 *
 * @returns the cloud ids of those that were running.
 */
export async function stopAllHosts(options: StopAllHostsOptions): Promise<readonly string[]> {
  const { below, fleetId, clock, signal } = options
  const isMeant = (one: HostProcess): boolean =>
    (fleetId === undefined || one.fleetId === fleetId) &&
    (below === undefined || one.directory.startsWith(resolve(below) + sep))
  const stopped = new Set<string>()
  const forceAt = clock.now() + graceMs
  for (let isFirst = true; ; isFirst = false) {
    const running = (await findHostProcesses()).filter(isMeant)
    if (running.length === 0) return [...stopped]
    for (const { cloudId, directory } of running) {
      if (!stopped.has(cloudId)) await takeClaim(directory)
      stopped.add(cloudId)
    }
    if (isFirst) await signalHost(running, 'SIGTERM')
    else if (clock.now() >= forceAt) await signalHost(running, 'SIGKILL')
    await clock.sleep(50, signal)
  }
}

function cloudIdOf(token: string, index: number): string {
  return `local-${createHash('sha256').update(token).digest('hex').slice(0, 16)}-${index}`
}
