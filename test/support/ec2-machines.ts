/**
 * The machines behind an EC2 API server that starts none: each running instance's user data is read back and run, as
 * cloud-init would, so that its manager is a process of this machine; it is killed when the instance ends. Nothing here
 * knows of rows.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { DescribeInstanceAttributeCommand, DescribeInstancesCommand } from '@aws-sdk/client-ec2'
import type { EC2Client } from '@aws-sdk/client-ec2'

import { isAborted } from '../../src/lib/aborted.ts'

export interface StandingInstance {
  readonly id: string
  readonly fleetId: string
  readonly regionId: string
  readonly launchId: string
}

/** The API server needs milliseconds for each instance that it lists. */
const lookEveryMs = 400

export class Ec2Machines {
  readonly #ec2: EC2Client
  readonly #directory = mkdtempSync(join(tmpdir(), 'muster-ec2-'))
  readonly #running = new Map<string, ChildProcess | undefined>()
  readonly #metadata: Server
  readonly #reaper: ChildProcess
  readonly #stopping = new AbortController()
  #looking: Promise<void> = Promise.resolve()
  /** Called with every look: what must hold at each moment. */
  watch: (standing: readonly StandingInstance[]) => void = () => undefined

  /** `ec2` leads to the API server itself, past every fault. */
  constructor(ec2: EC2Client) {
    this.#ec2 = ec2
    // Ends every machine when this process is gone, however that ended.
    const reaping = 'groups=$(cat); for group in $groups; do kill -KILL -- -$group; done'
    this.#reaper = spawn('sh', ['-c', reaping], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    // The metadata service, version 2, of every machine: the first part of the path is the instance's id.
    this.#metadata = createServer((request, response) => {
      const [, id = '', , ...rest] = (request.url ?? '').split('/')
      const told = new Map([
        ['api/token', `session-of-${id}`],
        ['meta-data/instance-id', id],
        ['meta-data/local-ipv4', '127.0.0.1'],
      ]).get(rest.join('/'))
      response.writeHead(told === undefined ? 404 : 200).end(told ?? '')
    })
  }

  async start(): Promise<this> {
    this.#metadata.listen(0, '127.0.0.1')
    await once(this.#metadata, 'listening')
    this.#looking = this.#keepLooking(this.#stopping.signal)
    return this
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#looking
    const ended = [...this.#running.keys()].map((id) => this.#kill(id))
    await Promise.all(ended)
    this.#reaper.kill('SIGKILL')
    this.#metadata.close()
    this.#metadata.closeAllConnections()
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }

  /** What a machine's manager has said, for a failing test. */
  logOf(id: string): string {
    return readFileSync(join(this.#directory, id, 'console'), 'utf8')
  }

  /** Instances that cost money, of every fleet and region, by id. */
  async standing(): Promise<readonly StandingInstance[]> {
    const Filters = [{ Name: 'instance-state-name', Values: ['pending', 'running', 'stopping', 'stopped'] }]
    const { Reservations = [] } = await this.#ec2.send(new DescribeInstancesCommand({ Filters }))
    return Reservations.flatMap((one) => one.Instances ?? [])
      .map(({ InstanceId: id = '', Tags = [] }) => {
        const tag = (key: string) => Tags.find((one) => one.Key === `muster:${key}`)?.Value ?? ''
        return { id, fleetId: tag('fleet'), regionId: tag('region'), launchId: tag('launch') }
      })
      .toSorted((one, other) => (one.id < other.id ? -1 : 1))
  }

  async #keepLooking(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const standing = await this.standing()
      this.watch(standing)
      const ids = new Set(standing.map(({ id }) => id))
      for (const id of this.#running.keys()) if (!ids.has(id)) void this.#kill(id)
      for (const id of ids) if (!this.#running.has(id) && !isAborted(signal)) await this.#boot(id)
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #boot(id: string): Promise<void> {
    const asked = new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute: 'userData' })
    const { UserData } = await this.#ec2.send(asked)
    // Somebody else's, who has nothing to say to it.
    if (UserData?.Value === undefined) {
      this.#running.set(id, undefined)
      return
    }
    const script = gunzipSync(Buffer.from(UserData.Value, 'base64'))
    const directory = join(this.#directory, id)
    mkdirSync(directory, { recursive: true })
    const { port } = this.#metadata.address() as AddressInfo
    const child = spawn('sh', ['-c', `exec sh -s >"$MUSTER_HOST_DIRECTORY/console" 2>&1`], {
      // A group of its own: what it starts ends with it.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        MUSTER_METADATA: `http://127.0.0.1:${port}/${id}`,
        MUSTER_HOST_DIRECTORY: directory,
      },
    })
    this.#running.set(id, child)
    this.#reaper.stdin?.write(`${child.pid ?? ''}\n`)
    // It may be killed before it has read it all.
    child.stdin.on('error', () => undefined)
    child.stdin.end(script)
  }

  async #kill(id: string): Promise<void> {
    const child = this.#running.get(id)
    this.#running.delete(id)
    if (child?.pid === undefined) return
    const isOver = child.exitCode !== null || child.signalCode !== null
    try {
      // Its manager may have ended by itself and left agents.
      process.kill(-child.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
    if (!isOver) await once(child, 'exit')
  }
}
